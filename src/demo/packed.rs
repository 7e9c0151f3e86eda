//! Reading the bundled file of flights: numbers, names and columns, each taken from the front of what is left.

use super::flights::Dictionary;

/// Why the bundled flights could not be read: the program file itself is damaged.
#[derive(Debug, thiserror::Error)]
pub enum FlightsError {
    #[error("the bundled flights do not decompress")]
    Compression(#[from] std::io::Error),
    #[error("the bundled flights are damaged: {0}")]
    Layout(&'static str),
}

/// Takes the file apart from the front.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], FlightsError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(FlightsError::Layout("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FlightsError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| FlightsError::Layout("it ends too early"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, FlightsError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn texts(&mut self) -> Result<Vec<String>, FlightsError> {
        let count = u16::from_le_bytes(self.array()?);
        (0..count)
            .map(|_| {
                let [length] = self.array()?;
                let text = self.take(usize::from(length))?.to_vec();
                String::from_utf8(text).map_err(|_| FlightsError::Layout("a name is not UTF-8"))
            })
            .collect()
    }

    pub(super) fn column(&mut self, rows: usize) -> Result<Vec<i16>, FlightsError> {
        let (pairs, _) = self.take(rows * 2)?.as_chunks();
        Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
    }

    pub(super) fn columns<const N: usize>(&mut self, rows: usize) -> Result<[Vec<i16>; N], FlightsError> {
        let mut columns = [const { Vec::new() }; N];
        for column in &mut columns {
            *column = self.column(rows)?;
        }
        Ok(columns)
    }

    pub(super) fn dictionary(&mut self, values: Vec<String>, rows: usize) -> Result<Dictionary, FlightsError> {
        let codes = self.column(rows)?;
        let known = |code: &i16| usize::try_from(*code).is_ok_and(|code| code < values.len());
        if codes.iter().all(known) {
            Ok(Dictionary { values, codes })
        } else {
            Err(FlightsError::Layout("a code has no name"))
        }
    }
}
