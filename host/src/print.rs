//! What a program answers, on standard output. `println!` panics where that cannot be written, so
//! every process prints by this. Logs and progress are not here: they go to standard error.

use std::io::{self, ErrorKind, Write};

/// Writes `text` to standard output, with one line's end in place of the white space at its end.
/// Who reads may have had enough before the end, as `head` has: that is no failure.
///
/// # Errors
/// [`PrintError`] where it cannot be written for another reason.
pub fn print(text: &str) -> Result<(), PrintError> {
    write(text, &mut io::stdout().lock())
}

fn write(text: &str, out: &mut impl Write) -> Result<(), PrintError> {
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written.map_err(PrintError) {
        Err(error) if error.is_unread() => Ok(()),
        written => written,
    }
}

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write standard output: {0}")]
pub struct PrintError(#[from] io::Error);

impl PrintError {
    /// Whether it is only that nobody reads any more. Whoever writes piece by piece stops then.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufWriter;

    use super::*;

    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_had_enough_is_no_failure_and_a_full_disk_is() {
        assert!(write("all", &mut Refuses(ErrorKind::BrokenPipe)).is_ok());
        let error = write("all", &mut Refuses(ErrorKind::StorageFull)).unwrap_err();
        let said = "could not write standard output: no storage space";
        assert_eq!(error.to_string(), said);
        let mut out = Vec::new();
        write("all\n\n", &mut out).unwrap();
        assert_eq!(out, b"all\n");
    }

    #[test]
    fn what_a_buffer_kept_back_is_written_before_it_counts_as_printed() {
        let mut out = BufWriter::new(Refuses(ErrorKind::StorageFull));
        assert!(write("all", &mut out).is_err());
    }
}
