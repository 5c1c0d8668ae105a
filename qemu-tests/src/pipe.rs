//! The pipe that QEMU's `guestfwd=…-cmd:` forks per connection: stdin and stdout to a loopback port.
//! A plain `guestfwd=…-tcp:` would carry one connection in all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// Carries bytes both ways until both ends have closed.
pub fn run(port: u16) -> std::io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut up = stream.try_clone()?;
    let mut down = stream;
    let sender = std::thread::spawn(move || {
        let _ = carry(&mut std::io::stdin().lock(), &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let result = carry(&mut down, &mut std::io::stdout().lock());
    // The guest's side may stay open for ever once the server has hung up; nobody waits for it.
    drop(sender);
    result
}

fn carry(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0u8; 16 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        to.write_all(bytes)?;
        to.flush()?;
    }
}
