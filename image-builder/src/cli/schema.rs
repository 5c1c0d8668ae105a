//! `landfall schema`: the site's schema as JSON Schema, so that editors complete and check it.

use super::context::Context;
use super::failure::Failure;
use clap::{Args, ValueEnum};
use landfall_hosts::site::json_schema;
use landfall_hosts::site::schema::Role;

/// Which file's schema.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which kind of file
    #[arg(value_enum, default_value_t)]
    file: FileKind,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum FileKind {
    /// hosts/NAME.toml, the default
    #[default]
    Host,
    /// common.toml, desktop/kde.toml …
    Module,
    /// site.toml
    Site,
}

/// Prints the schema to standard output.
///
/// # Errors
/// Never; the signature is every command's.
pub fn run(args: &SchemaArgs, _context: &Context) -> Result<(), Failure> {
    let role = match args.file {
        FileKind::Host => Role::Host,
        FileKind::Module => Role::Module,
        FileKind::Site => Role::Site,
    };
    println!("{:#}", json_schema::of(role));
    Ok(())
}
