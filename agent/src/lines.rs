//! Lines from a pipe, each of bounded length whatever the writer does.
//! This file must not know what the lines say.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// The beginning of a line that is too long; its rest is skipped.
    Cut(&'a [u8]),
    /// No more lines; a torn one at the end is dropped.
    End,
}

/// Reads lines of at most `max_bytes`.
#[derive(Debug)]
pub struct LineReader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    max_bytes: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// From `input`.
    pub fn new(input: R, max_bytes: usize) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), max_bytes }
    }

    /// The next line. An error of the pipe is its end: there is nobody left to read from.
    pub async fn next(&mut self) -> Line<'_> {
        self.line.clear();
        let mut n_skipped = 0;
        loop {
            let available = match self.input.fill_buf().await {
                Ok([]) | Err(_) => return Line::End,
                Ok(available) => available,
            };
            let end = available.iter().position(|&byte| byte == b'\n');
            let content = &available[..end.unwrap_or(available.len())];
            let n_taken = content.len().min(self.max_bytes - self.line.len());
            self.line.extend_from_slice(&content[..n_taken]);
            n_skipped += content.len() - n_taken;
            let n_consumed = content.len() + usize::from(end.is_some());
            self.input.consume(n_consumed);
            if end.is_some() {
                return if n_skipped == 0 { Line::Whole(&self.line) } else { Line::Cut(&self.line) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_one_is_whole() {
        let text = [b"one\n\n".as_slice(), &[b'x'; 50_000], b"\nlast\ntorn"].concat();
        let mut lines = LineReader::new(text.as_slice(), 10);
        assert_eq!(lines.next().await, Line::Whole(b"one"));
        assert_eq!(lines.next().await, Line::Whole(b""));
        assert_eq!(lines.next().await, Line::Cut(b"xxxxxxxxxx"));
        assert_eq!(lines.next().await, Line::Whole(b"last"));
        assert_eq!(lines.next().await, Line::End);
    }
}
