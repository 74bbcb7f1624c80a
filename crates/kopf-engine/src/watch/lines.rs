//! Splits a stream of bytes into lines of any length (W-WAT-008).

use bytes::{Bytes, BytesMut};

/// What has arrived and is no line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// How far the buffer is known to hold no end of a line: each byte is looked at once.
    searched: usize,
}

impl Lines {
    /// Takes what has arrived.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line that is not blank, without its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + at + 1).freeze();
            self.searched = 0;
            let line = line.slice(..line.trim_ascii_end().len());
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// What is left when the stream has ended: a whole line, or the beginning of one.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        (!rest.trim_ascii().is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    fn check(chunks: &[&str], lines: &[&str], rest: Option<&str>) {
        let mut splitter = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.as_bytes());
            while let Some(line) = splitter.next() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(found, lines);
        assert_eq!(splitter.rest().as_deref(), rest.map(str::as_bytes));
    }

    /// W-WAT-008.
    #[test]
    fn lines_come_whole_however_the_bytes_arrive() {
        check(&["a\nb\n"], &["a", "b"], None);
        check(&["a", "b", "c\n", "d"], &["abc"], Some("d"));
        check(&["\n\r\n \na\r\n\n"], &["a"], None);
        let long = "x".repeat(3_000_000);
        check(&[&long[..1_000_000], &long[1_000_000..], "\n"], &[&long], None);
    }
}
