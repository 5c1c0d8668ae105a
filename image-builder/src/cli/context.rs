//! What every command is given: where the site is, and how to speak.

use super::failure::Failure;
use super::progress::Bars;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Context {
    /// Folder of the site [default: the nearest folder upwards that has site.toml]
    #[arg(long, global = true, value_name = "DIR")]
    pub site: Option<PathBuf>,
    /// Say more; twice for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors and results
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Colour of the output
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Context {
    /// The site's folder.
    ///
    /// # Errors
    /// When no folder upwards has a `site.toml`.
    pub fn site_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.site {
            return match dir.join("site.toml").is_file() {
                true => Ok(dir.clone()),
                false => Err(Failure::Invalid(format!(
                    "{} has no site.toml; `landfall new {0}` makes a site there",
                    dir.display()
                ))),
            };
        }
        let here = std::env::current_dir()?;
        here.ancestors().find(|dir| dir.join("site.toml").is_file()).map(Path::to_path_buf).ok_or_else(|| {
            Failure::Invalid(format!(
                "no site.toml in {} or above it; go to your site, name it with --site, or make one with `landfall new DIR`",
                here.display()
            ))
        })
    }

    /// Landfall's cache: `$XDG_CACHE_HOME/landfall`, else `~/.cache/landfall`.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn cache_dir(&self) -> Result<PathBuf, Failure> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .map(|base| base.join("landfall"))
            .ok_or_else(|| {
                Failure::Invalid(
                    "neither XDG_CACHE_HOME nor HOME is set; set one, so that the cache has a place".into(),
                )
            })
    }

    /// The view of long work: bars on a terminal, plain lines elsewhere, nothing when quiet.
    pub fn bars(&self) -> Bars {
        Bars::new(self.quiet)
    }

    /// A line for the person, unless quiet.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", line.as_ref());
        }
    }
}
