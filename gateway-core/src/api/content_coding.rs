//! Content codings of request bodies (RFC 9110, section 8.4): which are read, and how far a body may grow by it. Engines
//! are sent what was decoded.

use std::io::{self, Read, Write};

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use ruzstd::decoding::StreamingDecoder;

use super::request_error::RequestError;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; by some clients RFC 1951 without its envelope.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl ContentCoding {
    /// The coding of a body with these headers; `None` where it is sent as it is.
    ///
    /// # Errors
    /// When it is one that is not read here, or there are several on top of each other.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, RequestError> {
        let lines = headers.get_all(CONTENT_ENCODING).iter();
        let written: Vec<&str> = lines.map(|line| line.to_str().unwrap_or("?")).collect();
        let names = written.iter().flat_map(|line| line.split(',')).map(str::trim);
        let mut codings = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        let Some(name) = codings.next() else { return Ok(None) };
        let known = Self::named(name).filter(|_| codings.next().is_none());
        known.map(Some).ok_or_else(|| RequestError::UnknownCoding {
            coding: written.join(", "),
        })
    }

    fn named(name: &str) -> Option<Self> {
        let is = |coding: &Self| coding.as_str().eq_ignore_ascii_case(name);
        let gzip_by_its_old_name = name.eq_ignore_ascii_case("x-gzip").then_some(Self::Gzip);
        Self::ALL.into_iter().find(is).or(gzip_by_its_old_name)
    }

    const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// Its name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The body as it was before, of at most `limit` bytes; no more than that is ever made of it.
    ///
    /// # Errors
    /// When it is larger, or is not coded so.
    pub fn decode(self, body: &[u8], limit: usize) -> Result<Bytes, RequestError> {
        let mut decoded = Vec::new();
        let bound = (limit as u64).saturating_add(1);
        let read = match self {
            Self::Gzip => read_members(body, bound, &mut decoded),
            Self::Deflate if has_zlib_header(body) => ZlibDecoder::new(body).take(bound).read_to_end(&mut decoded),
            Self::Deflate => DeflateDecoder::new(body).take(bound).read_to_end(&mut decoded),
            Self::Brotli => Decompressor::new(body, BROTLI_BUFFER)
                .take(bound)
                .read_to_end(&mut decoded),
            Self::Zstd => read_frames(body, bound, &mut decoded),
        };
        if decoded.len() > limit {
            return Err(RequestError::TooLargeDecoded {
                limit,
                sent: body.len(),
                coding: self.as_str(),
            });
        }
        match read {
            Ok(_) => Ok(decoded.into()),
            Err(_) => Err(RequestError::NotCoded { coding: self.as_str() }),
        }
    }
}

/// A body in gzip's coding, as fast as that goes.
///
/// # Errors
/// Never: nothing is written but memory.
pub fn gzip(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}

/// Whether it begins as RFC 1950 says: the method is deflate, and the first two bytes are a multiple of 31.
fn has_zlib_header(body: &[u8]) -> bool {
    let header = body.first_chunk().map(|first| u16::from_be_bytes(*first));
    header.is_some_and(|header| header >> 8 & 0x0F == 8 && header % 31 == 0)
}

/// The members of a gzip file, one after the other.
fn read_members(body: &[u8], bound: u64, decoded: &mut Vec<u8>) -> io::Result<usize> {
    let mut rest = body;
    for _ in 0..MOST_PARTS {
        let left = bound.saturating_sub(decoded.len() as u64);
        GzDecoder::new(&mut rest).take(left).read_to_end(decoded)?;
        if rest.is_empty() || decoded.len() as u64 >= bound {
            return Ok(decoded.len());
        }
    }
    Err(io::Error::other("too many members"))
}

/// Zstandard's frames, one after the other.
fn read_frames(body: &[u8], bound: u64, decoded: &mut Vec<u8>) -> io::Result<usize> {
    let mut rest = body;
    for _ in 0..MOST_PARTS {
        let frame = StreamingDecoder::new_with_max_window_size(&mut rest, ZSTD_WINDOW).map_err(io::Error::other)?;
        let left = bound.saturating_sub(decoded.len() as u64);
        frame.take(left).read_to_end(decoded)?;
        if rest.is_empty() || decoded.len() as u64 >= bound {
            return Ok(decoded.len());
        }
    }
    Err(io::Error::other("too many frames"))
}

/// Most members or frames of a body. Each costs some microseconds, and an empty one takes nine bytes of a body.
const MOST_PARTS: usize = 1_024;
/// The largest window that a decoder must have (RFC 9659), and that is taken: it is made before anything is decoded.
const ZSTD_WINDOW: u64 = 8 << 20;
/// What is handed to the decoder at a time.
const BROTLI_BUFFER: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    use http::HeaderValue;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const LIMIT: usize = 100_000;

    fn gzip(text: &[u8]) -> Vec<u8> {
        super::gzip(text).unwrap().to_vec()
    }

    /// A text in every coding that there is an encoder for at hand.
    fn coded(text: &[u8]) -> Vec<(ContentCoding, Vec<u8>)> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(text).unwrap();
        vec![
            (ContentCoding::Gzip, gzip(text)),
            (ContentCoding::Deflate, zlib.finish().unwrap()),
            (ContentCoding::Deflate, raw.finish().unwrap()),
            (ContentCoding::Zstd, compress_to_vec(text, CompressionLevel::Fastest)),
        ]
    }

    #[test]
    fn what_was_coded_is_read_as_it_was() {
        for text in ["", "{}", "the tide ", &"the tide comes in, ".repeat(4_000)] {
            for (coding, body) in coded(text.as_bytes()) {
                assert_eq!(
                    coding.decode(&body, LIMIT).as_deref(),
                    Ok(text.as_bytes()),
                    "{coding:?}"
                );
            }
        }
        assert_eq!(
            ContentCoding::Brotli.decode(&BROTLI, LIMIT).as_deref(),
            Ok(&b"the tide"[..])
        );
    }

    #[test]
    fn parts_that_follow_each_other_are_one_body() {
        let parts = [gzip(b"the "), gzip(b"tide")].concat();
        assert_eq!(
            ContentCoding::Gzip.decode(&parts, LIMIT).as_deref(),
            Ok(&b"the tide"[..])
        );
        let frame = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
        let frames = [frame(b"the "), frame(b"tide")].concat();
        assert_eq!(ContentCoding::Zstd.decode(&frames, 8).as_deref(), Ok(&b"the tide"[..]));
        assert!(ContentCoding::Zstd.decode(&frames, 7).is_err());
    }

    #[test]
    fn parts_without_end_are_refused() {
        let members = gzip(b"").repeat(MOST_PARTS + 1);
        let frames = compress_to_vec(&b""[..], CompressionLevel::Fastest).repeat(MOST_PARTS + 1);
        assert!(ContentCoding::Gzip.decode(&members, LIMIT).is_err());
        assert!(ContentCoding::Zstd.decode(&frames, LIMIT).is_err());
    }

    /// `the tide`, by Node's encoder.
    const BROTLI: [u8; 12] = *b"\x8b\x03\x80the tide\x03";
    /// One space more than the limit, by the same.
    const BROTLI_BOMB: &[u8] = &[
        0x5B, 0xA0, 0x86, 0x81, 0x5F, 0x02, 0x24, 0x1E, 0x0B, 0x04, 0xB4, 0xFC, 0x02, 0x00,
    ];

    #[test]
    fn a_body_that_grows_too_large_is_refused_and_no_more_is_made_of_it() {
        let brotli = (ContentCoding::Brotli, BROTLI_BOMB.to_vec());
        for (coding, bomb) in coded(&vec![b' '; LIMIT + 1]).into_iter().chain([brotli]) {
            assert_eq!(
                coding.decode(&bomb, LIMIT),
                Err(RequestError::TooLargeDecoded {
                    limit: LIMIT,
                    sent: bomb.len(),
                    coding: coding.as_str(),
                })
            );
            assert_eq!(coding.decode(&bomb, LIMIT + 1).map(|body| body.len()), Ok(LIMIT + 1));
        }
    }

    #[test]
    fn what_is_not_coded_as_it_says_or_is_cut_off_is_refused() {
        let brotli = (ContentCoding::Brotli, BROTLI.to_vec());
        for (coding, body) in coded(b"the tide comes in").into_iter().chain([brotli]) {
            let cut = &body[..body.len() - 1];
            for wrong in [cut, b"{\"model\":\"m\"}", b""] {
                if coding == ContentCoding::Deflate && wrong == cut {
                    continue;
                }
                let refused = Err(RequestError::NotCoded {
                    coding: coding.as_str(),
                });
                assert_eq!(coding.decode(wrong, LIMIT), refused, "{coding:?} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_window_beyond_what_decoders_must_have_is_refused() {
        // A frame's head that asks for a window of 128 MiB: the exponent is 17.
        let greedy = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 17 << 3, 0x01, 0x00, 0x00];
        assert_eq!(
            ContentCoding::Zstd.decode(&greedy, LIMIT),
            Err(RequestError::NotCoded { coding: "zstd" })
        );
    }

    #[test]
    fn one_coding_is_read_and_several_are_named() {
        let coding = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            ContentCoding::of(&headers)
        };
        for (lines, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["gzip"], Some(ContentCoding::Gzip)),
            (&["X-GZip"], Some(ContentCoding::Gzip)),
            (&["Deflate"], Some(ContentCoding::Deflate)),
            (&["br"], Some(ContentCoding::Brotli)),
            (&["identity, zstd"], Some(ContentCoding::Zstd)),
        ] {
            assert_eq!(coding(lines), Ok(expected), "{lines:?}");
        }
        for (lines, named) in [
            (&["compress"][..], "compress"),
            (&["gzip, br"], "gzip, br"),
            (&["gzip", "gzip"], "gzip, gzip"),
        ] {
            let error = coding(lines).unwrap_err();
            assert_eq!(
                error,
                RequestError::UnknownCoding {
                    coding: named.to_owned()
                }
            );
        }
    }
}
