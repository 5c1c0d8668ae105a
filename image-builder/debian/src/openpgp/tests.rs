use super::*;
use crate::testing::Signer;
use pgp::ser::Serialize;

/// Old enough that what a test signs is younger.
const MADE: i64 = 1_700_000_000;
/// Its last line break belongs to the armor (RFC 9580, 7.1).
const TEXT: &str = "Origin: Test\n- a dash\n-\nlast line";

fn ring(certificate: SignedPublicKey) -> Keyring {
    Keyring::parse("a test key", &certificate.to_bytes().expect("bytes")).expect("a key")
}

fn refusal(ring: &Keyring, message: &str) -> String {
    let error = ring.verify("x/InRelease", message.as_bytes(), UnixSeconds::now()).expect_err("refused");
    assert!(matches!(error, Error::Untrusted { .. }), "{error}");
    error.to_string()
}

#[test]
fn debians_keys_are_the_ones_that_are_named() {
    let ring = Keyring::debian().expect("the embedded keys");
    assert_eq!(ring.fingerprints(), crate::keys::DEBIAN_FINGERPRINTS);
}

#[test]
fn only_the_signed_text_comes_back() {
    let signer = Signer::new(MADE);
    let ring = ring(signer.public());
    let message = signer.sign(TEXT);
    let text = ring.verify("x", message.as_bytes(), UnixSeconds::now()).expect("valid");
    assert_eq!(text, format!("{TEXT}\n"));
    // CR LF, as some proxies make it, is the same text.
    let text = ring.verify("x", message.replace('\n', "\r\n").as_bytes(), UnixSeconds::now()).expect("valid");
    assert_eq!(text, format!("{TEXT}\n"));
}

#[test]
fn an_armored_key_file_with_several_keys_is_read() {
    let (one, two) = (Signer::new(MADE), Signer::new(MADE));
    let file = format!("some words\n{}\n{}", one.armored(), two.armored());
    let file = file.trim_start_matches("some words\n");
    let ring = Keyring::parse("two keys", file.as_bytes()).expect("two keys");
    assert_eq!(ring.fingerprints().len(), 2);
    assert!(ring.verify("x", two.sign(TEXT).as_bytes(), UnixSeconds::now()).is_ok());
    for wrong in ["", "no key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"] {
        assert!(Keyring::parse("no key", wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_stranger_is_refused() {
    let message = Signer::new(MADE).sign(TEXT);
    let words = refusal(&ring(Signer::new(MADE).public()), &message);
    assert!(words.contains("not one of the allowed") && words.contains("[mirror]"), "{words}");
}

#[test]
fn a_changed_text_is_refused() {
    let signer = Signer::new(MADE);
    let ring = ring(signer.public());
    let message = signer.sign(TEXT);
    for (from, to) in [("Test", "Tset"), ("last line", "last line\nmore"), ("Origin", " Origin")] {
        let words = refusal(&ring, &message.replacen(from, to, 1));
        assert!(words.contains("does not match"), "{words}");
    }
}

#[test]
fn text_around_the_message_is_refused() {
    let signer = Signer::new(MADE);
    let ring = ring(signer.public());
    let message = signer.sign(TEXT);
    refusal(&ring, &format!("Origin: Evil\n{message}"));
    refusal(&ring, &format!("{message}Origin: Evil\n"));
    refusal(&ring, &message.replacen("Hash: SHA256", "Hash: SHA256\nOrigin: Evil", 1));
    refusal(&ring, &message.replacen("- - a dash", "- a dash\n-evil", 1));
    // Two messages in one file.
    refusal(&ring, &format!("{message}{message}"));
}

#[test]
fn a_truncated_or_foreign_file_is_refused() {
    let signer = Signer::new(MADE);
    let ring = ring(signer.public());
    let message = signer.sign(TEXT);
    for length in [0, 10, 40, 60, 100, message.len() - 30] {
        refusal(&ring, &message[..length]);
    }
    let words = refusal(&ring, "<html>Please log in</html>");
    assert!(words.contains("login page"), "{words}");
    let error = ring.verify("x", &[0xff; 100], UnixSeconds::now()).expect_err("binary").to_string();
    assert!(error.contains("not text"), "{error}");
}

#[test]
fn one_valid_signature_of_several_is_enough() {
    let (known, stranger) = (Signer::new(MADE), Signer::new(MADE));
    let of = |message: &str| {
        let start = message.find(BEGIN_SIGNATURE).expect("a signature");
        signatures(&message[start..]).expect("signatures")
    };
    let mut both = of(&stranger.sign(TEXT));
    both.extend(of(&known.sign(TEXT)));
    let packets = bytes_of(&both);
    let message = known.sign(TEXT);
    let start = message.find(BEGIN_SIGNATURE).expect("a signature");
    let armor = armored_signature(&packets);
    let both = format!("{}{armor}", &message[..start]);
    assert!(ring(known.public()).verify("x", both.as_bytes(), UnixSeconds::now()).is_ok());
}

fn bytes_of(signatures: &[Signature]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for signature in signatures {
        signature.to_writer_with_header(&mut bytes).expect("bytes");
    }
    bytes
}

fn armored_signature(packets: &[u8]) -> String {
    use std::fmt::Write;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = format!("{BEGIN_SIGNATURE}\n\n");
    for line in packets.chunks(48) {
        for three in line.chunks(3) {
            let mut bits = [0; 3];
            bits[..three.len()].copy_from_slice(three);
            let number = u32::from_be_bytes([0, bits[0], bits[1], bits[2]]);
            for at in 0..4 {
                if at <= three.len() {
                    let index = (number >> (18 - 6 * at)) & 63;
                    out.push(char::from(ALPHABET[index as usize]));
                } else {
                    out.push('=');
                }
            }
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{END_SIGNATURE}");
    out
}

#[test]
fn an_expired_key_is_refused() {
    let signer = Signer::new(MADE);
    let words = refusal(&ring(signer.expiring(1000)), &signer.sign(TEXT));
    assert!(words.contains("expired at 2023-11-14T22:30:00Z"), "{words}");
    let alive = ring(signer.expiring(u32::MAX));
    assert!(alive.verify("x", signer.sign(TEXT).as_bytes(), UnixSeconds::now()).is_ok());
}

#[test]
fn a_revoked_key_is_refused() {
    let signer = Signer::new(MADE);
    let words = refusal(&ring(signer.revoked()), &signer.sign(TEXT));
    assert!(words.contains("revoked"), "{words}");
}

#[test]
fn a_weak_digest_is_refused() {
    let signer = Signer::new(MADE);
    let message = signer.sign_as(TEXT, HashAlgorithm::Sha512, 0);
    assert!(ring(signer.public()).verify("x", message.as_bytes(), UnixSeconds::now()).is_ok());
    // The same signature, but it says SHA-1 (version 4, text, EdDSA, digest: RFC 9580, 5.2.3).
    let message = signer.sign(TEXT);
    let start = message.find(BEGIN_SIGNATURE).expect("a signature");
    let mut packets = bytes_of(&signatures(&message[start..]).expect("signatures"));
    let place = packets.windows(4).position(|four| four == [4, 1, 22, 8]).expect("its digest");
    packets[place + 3] = 2;
    let message = format!("{}{}", &message[..start], armored_signature(&packets));
    let words = refusal(&ring(signer.public()), &message);
    assert!(words.contains("too weak"), "{words}");
}

#[test]
fn a_signature_from_the_far_future_is_refused() {
    let signer = Signer::new(MADE);
    let ring = ring(signer.public());
    // This computer's clock may be some hours behind.
    let soon = signer.sign_as(TEXT, HashAlgorithm::Sha256, 3600);
    assert!(ring.verify("x", soon.as_bytes(), UnixSeconds::now()).is_ok());
    let words = refusal(&ring, &signer.sign_as(TEXT, HashAlgorithm::Sha256, 40 * 86_400));
    assert!(words.contains("future"), "{words}");
}

#[test]
fn a_key_that_is_younger_than_its_signature_is_refused() {
    let signer = Signer::new(UnixSeconds::now().0 + 30 * 86_400);
    let words = refusal(&ring(signer.public()), &signer.sign(TEXT));
    assert!(words.contains("younger"), "{words}");
}
