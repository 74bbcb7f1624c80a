//! The wire format of protobuf: numbered fields of four kinds.

use super::Error;

const CUT_OFF: Error = Error::Malformed("unexpected EOF");

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Content<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Malformed("a field has the wrong wire type")),
        }
    }

    pub(super) fn varint(self) -> Result<u64, Error> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Error::Malformed("a field has the wrong wire type")),
        }
    }
}

/// The fields of a message, in the order in which they come. Ends after the first error.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<(u32, Content<'a>), Error> {
        let tag = take_varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Error::Malformed("illegal tag"))?;
        let content = match tag & 7 {
            0 => Content::Varint(take_varint(&mut self.rest)?),
            1 => Content::Fixed64(u64::from_le_bytes(self.take_array()?)),
            2 => {
                let length = take_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| CUT_OFF)?;
                Content::Bytes(take(&mut self.rest, length)?)
            }
            5 => Content::Fixed32(u32::from_le_bytes(self.take_array()?)),
            _ => return Err(Error::Malformed("illegal wire type")),
        };
        Ok((number, content))
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        take(&mut self.rest, N)?.try_into().map_err(|_| CUT_OFF)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Content<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The numbers of a packed list.
pub(super) fn varints(mut packed: &[u8]) -> impl Iterator<Item = Result<u64, Error>> {
    std::iter::from_fn(move || {
        if packed.is_empty() {
            return None;
        }
        let number = take_varint(&mut packed);
        if number.is_err() {
            packed = &[];
        }
        Some(number)
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Error> {
    let (taken, left) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    *rest = left;
    Ok(taken)
}

/// Seven bits per byte, the lowest first; at most ten bytes.
fn take_varint(rest: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::Malformed("integer overflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_kinds_are_read() {
        let message = [
            0x08, 0x96, 0x01, // 1: 150
            0x12, 0x02, b'h', b'i', // 2: "hi"
            0x1d, 1, 0, 0, 0, // 3: 32 bits
            0x21, 1, 0, 0, 0, 0, 0, 0, 0, // 4: 64 bits
        ];
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [
                (1, Content::Varint(150)),
                (2, Content::Bytes(b"hi")),
                (3, Content::Fixed32(1)),
                (4, Content::Fixed64(1)),
            ]
        );
        assert_eq!(varints(&[1, 0x96, 0x01]).map(Result::unwrap).collect::<Vec<_>>(), [1, 150]);
    }

    #[test]
    fn a_broken_message_ends_with_one_error() {
        for broken in [
            &[0x08][..],
            &[0x12, 5, b'x'],
            &[0x0b],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            let fields: Vec<_> = Fields::new(broken).collect();
            assert_eq!(fields.len(), 1);
            assert!(fields[0].is_err(), "{broken:?}");
        }
    }
}
