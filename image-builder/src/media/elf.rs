//! What a program needs at run time: its interpreter and libraries, read from ELF, never by running
//! anything.

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, StringTable};

use super::error::{MediaError, Result};

/// A program's or library's needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Path of the dynamic loader.
    pub interpreter: Option<String>,
    /// Names of libraries (DT_NEEDED), in order.
    pub libraries: Vec<String>,
}

/// Reads what the ELF file `bytes` needs; `what` names it in errors.
pub fn needs(bytes: &[u8], what: &str) -> Result<Needs> {
    let dynamic = Dynamic::read(bytes).map_err(|error| MediaError::bad(what, error.to_string()))?;
    let table = StringTable::new(dynamic.strings, 0, dynamic.strings.len() as u64);
    let mut libraries = Vec::new();
    for offset in dynamic.needed {
        let name = u32::try_from(offset).ok().and_then(|at| table.get(at).ok());
        let name = name.ok_or_else(|| MediaError::bad(what, "a library's name lies outside of the file"))?;
        libraries.push(String::from_utf8_lossy(name).into_owned());
    }
    Ok(Needs { interpreter: dynamic.interpreter, libraries })
}

struct Dynamic<'a> {
    interpreter: Option<String>,
    needed: Vec<u64>,
    strings: &'a [u8],
}

impl<'a> Dynamic<'a> {
    fn read(bytes: &'a [u8]) -> object::Result<Self> {
        let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, bytes)?;
        let mut out = Self { interpreter: None, needed: Vec::new(), strings: &[] };
        let (mut strings_at, mut strings_len) = (0, 0);
        for segment in segments {
            if let Ok(Some(path)) = segment.interpreter(endian, bytes) {
                out.interpreter = Some(String::from_utf8_lossy(path).into_owned());
            }
            for entry in segment.dynamic(endian, bytes)?.unwrap_or_default() {
                match entry.d_tag(endian) {
                    elf::DT_NEEDED => out.needed.push(entry.d_val(endian)),
                    elf::DT_STRTAB => strings_at = entry.d_val(endian),
                    elf::DT_STRSZ => strings_len = entry.d_val(endian),
                    _ => {}
                }
            }
        }
        let find = |segment: &elf::ProgramHeader64<Endianness>| {
            let range = segment.data_range(endian, bytes, strings_at, strings_len);
            range.ok().flatten()
        };
        out.strings = segments.iter().find_map(find).unwrap_or_default();
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_needs_libc() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&bytes, "this test").unwrap();
        assert!(needs.interpreter.is_some_and(|path| path.contains("ld-")));
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"));
    }

    #[test]
    fn hostile_bytes_are_refused_or_read_but_never_panic() {
        assert!(needs(b"", "nothing").is_err());
        assert!(needs(&[0x7f; 64], "noise").is_err());
        let good = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut head = good.get(..4096).unwrap().to_vec();
        for at in 16..1024 {
            let saved = head[at];
            head[at] = 0xff;
            let _ = needs(&head, "damaged");
            head[at] = saved;
        }
    }
}
