//! A tiny HTTP server on loopback that serves a folder, and can misbehave as a mirror does.

use crate::error::{Doing, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// As it should.
    #[default]
    None,
    /// 503 to everything.
    Unavailable,
    /// Every `.deb` comes with its last byte changed.
    WrongBytes,
    /// Every `.deb` stops half way.
    CutShort,
}

/// Serves until the process ends; the port is its own.
pub struct Server {
    port: u16,
    fault: Arc<Mutex<Fault>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `root` on a free loopback port.
    pub fn start(root: &Path) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).doing("listening on loopback for", root)?;
        let port = listener.local_addr().doing("reading the port for", root)?.port();
        let server = Self { port, fault: Arc::default(), requests: Arc::default() };
        let (root, fault, requests) = (root.to_path_buf(), server.fault.clone(), server.requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, fault, requests) = (root.clone(), fault.clone(), requests.clone());
                std::thread::spawn(move || {
                    let _ = answer_all(stream, &root, &fault, &requests);
                });
            }
        });
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        if let Ok(mut slot) = self.fault.lock() {
            *slot = fault;
        }
    }

    /// The paths asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().map(|list| list.clone()).unwrap_or_default()
    }
}

fn answer_all(
    stream: TcpStream,
    root: &Path,
    fault: &Mutex<Fault>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((method, path)) = read_request(&mut reader)? {
        if let Ok(mut list) = requests.lock() {
            list.push(path.clone());
        }
        let fault = fault.lock().map(|slot| *slot).unwrap_or_default();
        answer(&mut writer, &method, &below(root, &path), fault)?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, String)>> {
    let mut first = String::new();
    if reader.by_ref().take(8192).read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        if reader.by_ref().take(8192).read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    Ok(words.next().zip(words.next()))
}

/// The file of a request's path; nothing outside the root can be named.
fn below(root: &Path, path: &str) -> PathBuf {
    let plain = path
        .split('?')
        .next()
        .unwrap_or_default()
        .replace("%2b", "+")
        .replace("%2B", "+")
        .replace("%7e", "~");
    let parts = Path::new(&plain).components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    });
    parts.fold(root.to_path_buf(), |path, part| path.join(part))
}

fn answer(writer: &mut TcpStream, method: &str, file: &Path, fault: Fault) -> std::io::Result<()> {
    let head = |status: &str, length: usize| format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    if fault == Fault::Unavailable {
        return writer.write_all(head("503 Service Unavailable", 0).as_bytes());
    }
    let Ok(mut bytes) = std::fs::read(file) else {
        return writer.write_all(head("404 Not Found", 0).as_bytes());
    };
    writer.write_all(head("200 OK", bytes.len()).as_bytes())?;
    if method == "HEAD" {
        return Ok(());
    }
    if file.extension().is_some_and(|end| end == "deb") {
        match (fault, bytes.last_mut()) {
            (Fault::WrongBytes, Some(last)) => *last ^= 1,
            (Fault::CutShort, _) => {
                writer.write_all(&bytes[..bytes.len() / 2])?;
                return Err(std::io::Error::other("cut short on purpose"));
            }
            _ => {}
        }
    }
    writer.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_files_below_its_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "content").unwrap();
        let server = Server::start(folder.path()).unwrap();
        let get = |path: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(get("/a").ends_with("\r\n\r\ncontent"));
        assert!(get("/../../etc/passwd").starts_with("HTTP/1.1 404"));
        assert_eq!(server.requests(), ["/a", "/../../etc/passwd"]);
    }
}
