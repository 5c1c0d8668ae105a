//! Fuzz targets: what a machine reads that somebody else wrote.

use age::secrecy::ExposeSecret;
use landfall_firstboot::accounts::{Accounts, crypt, shadow};
use landfall_firstboot::boot::count;
use landfall_firstboot::homes::{ini::IniFile, order, values};
use landfall_firstboot::machine;
use landfall_firstboot::secrets::{decrypt, identity, template};
use landfall_fuzz::target;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn accounts() {
    target!("accounts", |bytes: &[u8]| {
        let text = text(bytes);
        let accounts = Accounts::parse(&text, &text);
        let _ = (accounts.person("sam"), accounts.owner("sam", "sudo"), accounts.owner(&text, &text));
        let hash = Zeroizing::new("$y$j9T$abcdefgh$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq".to_owned());
        assert!(crypt::is_hash(&hash));
        let hashes = BTreeMap::from([("sam".to_owned(), hash)]);
        if let Ok(edited) = shadow::edit(&text, &hashes) {
            assert_eq!(edited.lines().count(), text.lines().count());
        }
    });
}

#[test]
fn home() {
    target!("home", |bytes: &[u8]| {
        if let Ok((order, contents)) = order::decode(bytes) {
            assert_eq!(order.files.len(), contents.len());
        }
        let text = text(bytes);
        let (group, key) = text.split_once('\n').unwrap_or(("KDE", "SingleClick"));
        let key: String =
            key.chars().filter(|c| !c.is_control() && !"=[]# ;".contains(*c)).take(20).collect();
        let mut file = IniFile::parse(&text);
        let _ = (file.get(group, &key), file.is_bare());
        file.set("KDE", "SingleClick", "false");
        assert_eq!(IniFile::parse(&file.text()).get("KDE", "SingleClick").as_deref(), Some("false"));
        file.remove("KDE", "SingleClick");
        if let Ok(value) = toml::from_str::<toml::Value>(&text) {
            let _ = (values::ini(&value), values::gvariant(&value));
        }
    });
}

#[test]
fn count() {
    target!("count", |bytes: &[u8]| {
        let text = text(bytes);
        let _ = count::parse(&text, 3);
        let _ = (machine::parse(&text), machine::is_name(&text), machine::is_inside(&text));
        let _ = machine::mode(&text, 0o400);
    });
}

#[test]
fn secrets() {
    let own = age::x25519::Identity::generate().to_string();
    let keys = identity::parse(own.expose_secret().as_bytes(), "a test").expect("our own key");
    target!("secrets", |bytes: &[u8]| {
        let _ = identity::parse(bytes, "a file");
        let _ = decrypt::decrypt(bytes, &keys, "x");
        let secrets = BTreeMap::from([("x".to_owned(), Zeroizing::new(bytes.to_vec()))]);
        let _ = template::render(&text(bytes), &secrets);
    });
}
