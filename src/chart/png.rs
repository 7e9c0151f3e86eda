//! Pixels as a PNG file: one zlib stream of rows, each with the filter that fits it best.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Bytes a pixel: red, green, blue.
const DEPTH: usize = 3;

/// Encodes rows of 8-bit RGB pixels (ISO/IEC 15948).
///
/// # Errors
/// The pixels are not `width` × `height`.
pub fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let row = usize::try_from(width).unwrap_or(0) * DEPTH;
    if row == 0 || pixels.len() != row * usize::try_from(height).unwrap_or(0) {
        return Err(format!("{} bytes are not {width} x {height} pixels", pixels.len()));
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut above = vec![0; row];
    for line in pixels.chunks_exact(row) {
        // Most rows of a chart are like the one above: what remains is then zeros.
        let differences: Vec<u8> = line.iter().zip(&above).map(|(now, up)| now.wrapping_sub(*up)).collect();
        packed.write_all(&[2]).and_then(|()| packed.write_all(&differences)).map_err(|e| e.to_string())?;
        above.copy_from_slice(line);
    }
    let packed = packed.finish().map_err(|e| e.to_string())?;
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // 8 bits a colour, three colours, and the only methods there are; not interlaced.
    head.extend([8, 2, 0, 0, 0]);
    let mut file = SIGNATURE.to_vec();
    for (kind, data) in [(b"IHDR", head.as_slice()), (b"IDAT", &packed), (b"IEND", &[])] {
        let length = u32::try_from(data.len()).map_err(|_| "the picture is too large".to_owned())?;
        file.extend(length.to_be_bytes());
        file.extend_from_slice(kind);
        file.extend_from_slice(data);
        let mut sum = Crc::new();
        sum.update(kind);
        sum.update(data);
        file.extend(sum.sum().to_be_bytes());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_pixels_come_back() {
        let pixels: Vec<u8> = (0..4 * 3 * DEPTH).map(|i| u8::try_from(i * 7 % 256).unwrap()).collect();
        let file = encode(&pixels, 4, 3).unwrap();
        assert_eq!(file[..8], SIGNATURE);
        assert_eq!(file[16..24], [0, 0, 0, 4, 0, 0, 0, 3]);
        // The data begins behind the signature, the head chunk of 25 bytes, and its own length and name.
        let length = u32::from_be_bytes(file[33..37].try_into().unwrap());
        let mut rows = Vec::new();
        let data = &file[41..41 + usize::try_from(length).unwrap()];
        flate2::read::ZlibDecoder::new(data).read_to_end(&mut rows).unwrap();
        let mut above = vec![0_u8; 4 * DEPTH];
        let mut back: Vec<u8> = Vec::new();
        for row in rows.chunks_exact(1 + 4 * DEPTH) {
            assert_eq!(row[0], 2);
            above = row[1..].iter().zip(&above).map(|(d, up)| d.wrapping_add(*up)).collect();
            back.extend(&above);
        }
        assert_eq!(back, pixels);
        assert!(encode(&pixels, 5, 3).is_err());
    }
}
