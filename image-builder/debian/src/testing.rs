//! What the tests of several modules need: keys, a server on loopback that may misbehave, a small
//! archive.

use crate::clock::UnixSeconds;
use crate::hash::sha256;
use landfall_hosts::event::{Event, Progress};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PacketTrait, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId};
use pgp::types::{Duration, KeyDetails, Password, Timestamp};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Drops every event.
pub(crate) struct Quiet;

impl Progress for Quiet {
    fn event(&self, _event: Event) {}
}

/// A key pair that signs archives in tests.
pub(crate) struct Signer {
    pub(crate) secret: SignedSecretKey,
}

impl Signer {
    /// An Ed25519 key made at this time.
    pub(crate) fn new(made: i64) -> Self {
        let made = Timestamp::from_secs(u32::try_from(made).expect("a time"));
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_certify(true)
            .created_at(made)
            .primary_user_id("Test Archive <test@localhost>".into());
        let params = params.build().expect("parameters");
        Self { secret: params.generate(rand::thread_rng()).expect("a key") }
    }

    pub(crate) fn public(&self) -> SignedPublicKey {
        self.secret.to_public_key()
    }

    pub(crate) fn armored(&self) -> String {
        self.public().to_armored_string(ArmorOptions::default()).expect("armor")
    }

    /// The certificate with a self-signature that ends the key's life after so many seconds.
    pub(crate) fn expiring(&self, seconds: u32) -> SignedPublicKey {
        let mut public = self.public();
        let life = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        let mut flags = pgp::packet::KeyFlags::default();
        flags.set_sign(true);
        flags.set_certify(true);
        let config = self.config(SignatureType::CertPositive, vec![life, SubpacketData::KeyFlags(flags)], 0);
        let id = UserId::from_str(Default::default(), "Test Archive <test@localhost>").expect("an id");
        let key = &self.secret.primary_key;
        let signature = config
            .sign_certification(key, &public.primary_key, &Password::empty(), id.tag(), &id)
            .expect("a certification");
        public.details.users = vec![id.into_signed(signature)];
        public
    }

    /// The certificate with a revocation.
    pub(crate) fn revoked(&self) -> SignedPublicKey {
        let mut public = self.public();
        let config = self.config(SignatureType::KeyRevocation, Vec::new(), 0);
        let key = &self.secret.primary_key;
        let signature = config.sign_key(key, &Password::empty(), &public.primary_key).expect("a revocation");
        public.details.revocation_signatures.push(signature);
        public
    }

    fn config(&self, kind: SignatureType, more: Vec<SubpacketData>, later: u32) -> SignatureConfig {
        let key = &self.secret.primary_key;
        let now = Timestamp::from_secs(Timestamp::now().as_secs() + later);
        let mut config = SignatureConfig::from_key(rand::thread_rng(), key, kind).expect("a configuration");
        config.hash_alg = HashAlgorithm::Sha256;
        let mut data = vec![
            SubpacketData::SignatureCreationTime(now),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        data.extend(more);
        config.hashed_subpackets =
            data.into_iter().map(|data| Subpacket::regular(data).expect("a subpacket")).collect();
        config
    }

    /// Clearsigned text.
    pub(crate) fn sign(&self, text: &str) -> String {
        self.sign_as(text, HashAlgorithm::Sha256, 0)
    }

    /// Clearsigned text with a certain digest and a date so many seconds ahead.
    pub(crate) fn sign_as(&self, text: &str, digest: HashAlgorithm, later: u32) -> String {
        let mut config = self.config(SignatureType::Text, Vec::new(), later);
        config.hash_alg = digest;
        CleartextSignedMessage::new(text, config, &self.secret.primary_key, &Password::empty())
            .and_then(|message| message.to_armored_string(ArmorOptions::default()))
            .expect("a message")
    }
}

/// One way in which a server answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// The file, with ranges.
    File(Vec<u8>),
    /// The first `usize` bytes at the first request, then the connection breaks; later all.
    BreaksOnce(Vec<u8>, usize),
    /// Says the whole length and always stops after `usize` bytes.
    Stops(Vec<u8>, usize),
    /// Another status.
    Status(u16),
}

/// A server on loopback. It ends with the test's process.
pub(crate) struct Server {
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    seen: Vec<String>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { base, state }
    }

    pub(crate) fn put(&self, path: &str, answer: Answer) {
        self.state.lock().expect("the state").answers.insert(path.to_owned(), answer);
    }

    pub(crate) fn file(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.put(path, Answer::File(bytes.into()));
    }

    /// `path` or `path bytes=…` of every request.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.state.lock().expect("the state").seen.clone()
    }
}

/// Answers one request and closes, which is the simplest that every client understands.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("the stream"));
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut range = None;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = value.trim().trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let answer = {
        let mut state = state.lock().expect("the state");
        let from = range.map(|from| format!(" from {from}")).unwrap_or_default();
        state.seen.push(format!("{path}{from}"));
        let answer = state.answers.get(&path).cloned().unwrap_or(Answer::Status(404));
        if let Answer::BreaksOnce(bytes, _) = &answer {
            let whole = bytes.clone();
            state.answers.insert(path.clone(), Answer::File(whole));
        }
        answer
    };
    let _ = respond(&mut stream, answer, range);
}

fn respond(stream: &mut TcpStream, answer: Answer, range: Option<usize>) -> std::io::Result<()> {
    let (bytes, stop) = match answer {
        Answer::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Answer::File(bytes) => (bytes, usize::MAX),
        Answer::BreaksOnce(bytes, stop) | Answer::Stops(bytes, stop) => (bytes, stop),
    };
    let from = range.unwrap_or(0).min(bytes.len());
    let rest = &bytes[from..];
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    stream.write_all(&rest[..rest.len().min(stop)])
}

/// A Release over index files, as text.
pub(crate) fn release(codename: &str, date: UnixSeconds, files: &[(&str, &[u8])]) -> String {
    let mut text = format!(
        "Origin: Test\nSuite: {codename}\nCodename: {codename}\nDate: {}\nAcquire-By-Hash: yes\nSHA256:\n",
        release_date(date)
    );
    for (path, bytes) in files {
        text.push_str(&format!(" {} {} {path}\n", sha256(bytes), bytes.len()));
    }
    text
}

/// The form of a Release's dates.
pub(crate) fn release_date(date: UnixSeconds) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = date.to_string();
    let month: usize = text[5..7].parse().expect("a month");
    format!("Mon, {} {} {} {} UTC", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}
