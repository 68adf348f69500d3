//! How often a cell in Redis was called: each call that asks is an entry in its log.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Entries ever appended to the log of the bench's budget, as gateway-core/src/cells/redis lays it out: the number of
/// entries that were removed, two values about the snapshot, and the entries.
///
/// # Errors
/// When Redis does not answer with numbers.
pub fn entries(url: &str) -> Result<u64> {
    let connection = TcpStream::connect(url.trim_start_matches("redis://"))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(connection.try_clone()?);
    let mut ask = |command: &str| -> Result<u64> {
        (&connection).write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        replies.read_line(&mut line)?;
        // An integer stands in the first line, a string in the second.
        if line.starts_with('$') {
            line.clear();
            replies.read_line(&mut line)?;
        }
        let number = line.trim_start_matches(':').trim().parse();
        number.map_err(|_| Error::new(ErrorKind::InvalidData, line))
    };
    let (removed, length) = (ask(&format!("LINDEX {KEY} 0"))?, ask(&format!("LLEN {KEY}"))?);
    Ok((removed + length).saturating_sub(3))
}

const KEY: &str = "tidegate:1:cell:budget/bench/all";
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn entries_that_were_removed_count() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let redis = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a client");
            connection.write_all(b"$3\r\n128\r\n:67\r\n").expect("sent");
            let mut asked = BufReader::new(connection).lines();
            [asked.next(), asked.next()].map(|line| line.and_then(Result::ok).unwrap_or_default())
        });
        assert_eq!(entries(&url).expect("a number"), 192);
        let asked = redis.join().expect("it ended");
        assert_eq!(asked, [format!("LINDEX {KEY} 0"), format!("LLEN {KEY}")]);
    }
}
