//! Giving files their blocks without writing a byte of them, by debugfs (`debugfs(8)`).
//!
//! `fallocate` allots a file's blocks as "unwritten"; `replace_node` then takes that mark from each
//! extent, for the bytes will be written by us, outside of any filesystem driver. debugfs goes on
//! after an error and ends with 0, so what it did is read back and checked, never taken on trust.

use std::fmt::Write as _;
use std::io::Write as _;

use landfall_disk::Extent;

use super::data::{BLOCK_BYTES, DataTarget, LayerFile, Placed};
use super::error::{MediaError, Result};
use super::tool::Tool;
use super::trees::Trees;

/// A run of blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    logical: u64,
    physical: u64,
    blocks: u64,
    unwritten: bool,
}

/// Allots the blocks of `layers`, whose files exist and are empty.
pub(crate) fn place(tools: &Trees, target: &DataTarget<'_>, layers: &[LayerFile]) -> Result<Vec<Placed>> {
    let mut script = String::new();
    // Writing to a String cannot fail.
    for layer in layers.iter().filter(|layer| layer.len_bytes != 0) {
        let last = layer.len_bytes.div_ceil(BLOCK_BYTES) - 1;
        let _ = writeln!(script, "fallocate {} 0 {last}", layer.path);
        let _ = writeln!(script, "set_inode_field {} size {}", layer.path, layer.len_bytes);
    }
    for layer in layers {
        let _ = writeln!(script, "dump_extents -l {}", layer.path);
    }
    let allotted = runs(&debugfs(tools, target, &script)?, layers);

    let mut script = String::new();
    for (layer, runs) in layers.iter().zip(&allotted) {
        let _ = writeln!(script, "extent_open {}", layer.path);
        for Run { logical, physical, blocks, .. } in runs {
            let _ = writeln!(script, "goto_block {logical}");
            let _ = writeln!(script, "replace_node {logical} {blocks} {physical}");
        }
        let _ = writeln!(script, "extent_close");
    }
    for layer in layers {
        let _ = writeln!(script, "stat {0}\ndump_extents -l {0}", layer.path);
    }
    let said = debugfs(tools, target, &script)?;
    layers
        .iter()
        .zip(runs(&said, layers))
        .map(|(layer, runs)| {
            check(layer, &runs, &said).map_err(|why| {
                MediaError::bad(
                    format!("the blocks that debugfs gave {}", layer.path),
                    format!("{why}; remove the tools root from the cache and build again"),
                )
            })?;
            let extents = runs.iter().map(|run| Extent {
                start_bytes: target.at.start_bytes + run.physical * BLOCK_BYTES,
                len_bytes: run.blocks * BLOCK_BYTES,
            });
            Ok(Placed { layer: layer.clone(), extents: extents.collect() })
        })
        .collect()
}

fn debugfs(tools: &Trees, target: &DataTarget<'_>, script: &str) -> Result<String> {
    let image = format!("{}?offset={}", target.image.display(), target.at.start_bytes);
    let mut file = tempfile::NamedTempFile::new().map_err(MediaError::io("making debugfs' script"))?;
    file.write_all(script.as_bytes()).map_err(MediaError::io("writing debugfs' script"))?;
    Tool::find(tools, "debugfs", "e2fsprogs")?
        .env("SOURCE_DATE_EPOCH", target.epoch.to_string())
        .args(["-w", "-f"])
        .args([file.path().as_os_str(), image.as_ref()])
        .output()
}

/// The runs of each layer, from the output of `dump_extents -l` after the line that repeats the
/// command:
///
/// ```text
/// Level Entries         Logical        Physical Length Flags
///  0/ 0   1/  4      0 -  32672     95 -  32767  32673 Uninit
/// ```
fn runs(said: &str, layers: &[LayerFile]) -> Vec<Vec<Run>> {
    let section = |path: &str| {
        let command = format!("debugfs: dump_extents -l {path}");
        let lines = said.lines().skip_while(move |line| line.trim_end() != command).skip(1);
        lines.take_while(|line| !line.starts_with("debugfs:")).filter_map(run).collect()
    };
    layers.iter().map(|layer| section(&layer.path)).collect()
}

fn run(line: &str) -> Option<Run> {
    let spaced = line.replace(['/', '-'], " ");
    let unwritten = spaced.contains("Uninit");
    let numbers: Vec<u64> = spaced.split_whitespace().map_while(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [depth, max_depth, _, _, logical, _, physical, _, blocks] if depth == max_depth => {
            Some(Run { logical: *logical, physical: *physical, blocks: *blocks, unwritten })
        }
        _ => None,
    }
}

/// The runs must be the whole file, in order, written, and the inode must say its size.
fn check(layer: &LayerFile, runs: &[Run], said: &str) -> std::result::Result<(), String> {
    let mut next = 0;
    for run in runs {
        if run.logical != next || run.blocks == 0 || run.physical == 0 {
            return Err(format!("block {next} has no place"));
        }
        if run.unwritten {
            return Err(format!("block {next} is marked as unwritten"));
        }
        next += run.blocks;
    }
    let need = layer.len_bytes.div_ceil(BLOCK_BYTES);
    if next != need {
        return Err(format!("it has {next} blocks and needs {need}"));
    }
    let command = format!("debugfs: stat {}", layer.path);
    let size = said
        .lines()
        .skip_while(|line| line.trim_end() != command)
        .find_map(|line| line.rsplit_once("Size: ").filter(|(head, _)| head.contains("User:")));
    match size {
        Some((_, size)) if size.trim() == layer.len_bytes.to_string() => Ok(()),
        _ => Err(format!("its size is not {}", layer.len_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str, len_bytes: u64) -> LayerFile {
        LayerFile { path: path.into(), from: "x".into(), sha256: String::new(), len_bytes }
    }

    const SAID: &str = "debugfs: stat a\n\
        User:     0   Group:     0   Project:     0   Size: 499998720\n\
        debugfs: dump_extents -l a\n\
        Level Entries         Logical        Physical Length Flags\n \
        0/ 1   1/  1      0 - 122069    127            122070\n \
        1/ 1   1/  2      0 -  32672     95 -  32767  32673 \n \
        1/ 1   2/  2  32673 - 122069  32770 - 122166  89397 \n\
        debugfs: dump_extents -l b\n\
        Level Entries       Logical        Physical Length Flags\n \
        0/ 0   1/  1     0 -     5 123193 - 123198      6 Uninit\n";

    #[test]
    fn leaves_are_read_and_inner_nodes_are_not() {
        let layers = [layer("a", 499_998_720), layer("b", 20_481), layer("c", 1)];
        let runs = runs(SAID, &layers);
        assert_eq!(runs[0].len(), 2);
        assert_eq!(runs[0][1], Run { logical: 32673, physical: 32770, blocks: 89397, unwritten: false });
        assert_eq!(check(&layers[0], &runs[0], SAID), Ok(()));
        assert!(check(&layers[1], &runs[1], SAID).unwrap_err().contains("unwritten"));
        assert!(check(&layers[2], &runs[2], SAID).unwrap_err().contains("0 blocks"));
        assert!(check(&layer("a", 499_998_719), &runs[0], SAID).unwrap_err().contains("size"));
    }

    #[test]
    fn noise_is_no_run() {
        for line in ["", "0/ 0", "0/ 0 1/ 1 0 - 5 9 - 14", "debugfs 1.47.2", "a b c d e f g h i", "-/-"] {
            assert_eq!(run(line), None, "{line}");
        }
    }
}
