//! A prediction against what a real boot measured (`fixtures/README.md`).

use landfall_measure::{
    Digest, Doubt, EventLog, Header, Pcrs, Start, load_options, observed_before, plain_before, predict,
};

const LOG: &[u8] = include_bytes!("corpus/log/guest");
const PCRS: &str = include_str!("../fixtures/guest.pcrs");
const HEADER: &str = include_str!("corpus/header/guest.json");

/// Authenticode hashes of its shim, systemd-boot and kernel, by another implementation.
const PROGRAMS: [&str; 3] = [
    "f4166948f7adafa71e45c7ca5d30d97f78f382ecf1e3c8e4767b1ec1770cd52f",
    "937f1f3b0b3fed2034f1fddcc68c835f3e4ba190143f79693816e5a9d1718da5",
    "782467f032ce2d6a96d9131eac2bcf910ba46099c99e6cfd20555da97a7f1390",
];

fn digest(text: &str) -> Digest {
    Digest::parse(text).unwrap()
}

fn measured() -> Pcrs {
    let values: Vec<Digest> = PCRS.lines().map(|line| digest(line.split_once(' ').unwrap().1)).collect();
    Pcrs(values.try_into().unwrap())
}

fn start() -> Start {
    let joined = digest("51b3aac46b7b3933c4f7708feceaa252df01d2dfbe563990c6993fe863bec98a");
    Start {
        programs: PROGRAMS.map(digest),
        options: load_options(
            &["landfall/aa/ird0".into(), "landfall/aa/ird1".into()],
            "landfall.mode=boot landfall.generation=1 console=ttyS0 panic=30",
        ),
        initrds: joined,
    }
}

#[test]
fn what_was_predicted_is_what_the_tpm_has() {
    let Pcrs([_, secure_boot, ..]) = measured();
    assert_eq!(predict(&start(), &plain_before(), secure_boot), measured());
}

#[test]
fn every_part_of_a_start_changes_what_is_predicted() {
    let Pcrs([_, secure_boot, ..]) = measured();
    let other = Digest::of(b"another");
    let changes: [fn(&mut Start, Digest); 5] = [
        |start, other| start.programs[0] = other,
        |start, other| start.programs[1] = other,
        |start, other| start.programs[2] = other,
        |start, other| start.initrds = other,
        |start, _| start.options = load_options(&["landfall/aa/ird0".into()], "init=/bin/sh"),
    ];
    for change in changes {
        let mut changed = start();
        change(&mut changed, other);
        let predicted = predict(&changed, &plain_before(), secure_boot);
        assert_ne!(predicted, measured());
        assert_ne!(predicted.policy(false), measured().policy(false));
    }
}

#[test]
fn the_log_gives_the_pcrs_and_says_what_came_before_the_first_program() {
    let log = EventLog::parse(LOG).unwrap();
    for (pcr, value) in measured().pairs() {
        assert_eq!(log.replay(pcr), value, "PCR {pcr}");
    }
    let [shim, loader, kernel] = PROGRAMS.map(digest);
    assert_eq!(log.programs(), [shim, loader, kernel]);
    let Pcrs([programs, ..]) = measured();
    assert_eq!(observed_before(&log, programs, [shim, loader]).unwrap(), plain_before());
    assert_eq!(observed_before(&log, shim, [shim, loader]), Err(Doubt::LogUntrue));
    assert_eq!(observed_before(&log, programs, [shim, kernel]), Err(Doubt::OtherPrograms));
}

#[test]
fn a_damaged_log_is_refused_or_gives_other_values_and_never_panics() {
    let whole = EventLog::parse(LOG).unwrap();
    for len in 0..LOG.len() {
        // A log that ends between two entries is one, of an earlier moment.
        assert_ne!(EventLog::parse(&LOG[..len]), Ok(whole.clone()), "{len}");
    }
    let mut bytes = LOG.to_vec();
    for at in 0..bytes.len() {
        let saved = bytes[at];
        for value in [0, 0xff, saved ^ 1] {
            bytes[at] = value;
            let _ = EventLog::parse(&bytes);
        }
        bytes[at] = saved;
    }
}

#[test]
fn slots_are_known_by_the_policy_that_systemd_wrote() {
    let header = Header::parse(HEADER).unwrap();
    let now = measured();
    assert_eq!(header.slots.iter().map(|slot| slot.pin).collect::<Vec<_>>(), [false, true]);
    assert!(header.slots.iter().all(|slot| slot.opens_at(&now)));
    assert_eq!(header.opens_at(&now).map(|slot| slot.keyslot), Some(1));
    assert!(header.has(&now, true) && header.has(&now, false));
    assert_eq!(header.ciphers, ["aes-xts-plain64"]);
    let Pcrs(mut other) = now;
    other[2] = Digest::of(b"another initrd");
    assert_eq!(header.opens_at(&Pcrs(other)), None);
    assert_eq!(header.spent(&[Pcrs(other)]), [1, 2]);
    assert!(header.spent(&[Pcrs(other), now]).is_empty());
}

#[test]
fn a_volume_keeps_its_identity_when_slots_come_and_not_when_its_data_is_another() {
    let identity = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json: serde_json::Value = serde_json::from_str(HEADER).unwrap();
        change(&mut json);
        Header::parse(&json.to_string()).unwrap().identity
    };
    let own = Header::parse(HEADER).unwrap().identity;
    let same: [&dyn Fn(&mut serde_json::Value); 2] =
        [&|json| json["digests"]["0"]["keyslots"] = serde_json::json!(["0", "7"]), &|json| {
            json["tokens"] = serde_json::json!({})
        }];
    same.iter().for_each(|change| assert_eq!(identity(change), own));
    let other: [&dyn Fn(&mut serde_json::Value); 4] = [
        &|json| json["digests"]["0"]["digest"] = "b3RoZXI=".into(),
        &|json| json["segments"]["0"]["encryption"] = "cipher_null-ecb".into(),
        &|json| json["segments"]["1"] = serde_json::json!({"type": "linear"}),
        &|json| json["config"]["requirements"] = serde_json::json!({"mandatory": ["online-reencrypt-v2"]}),
    ];
    other.iter().for_each(|change| assert_ne!(identity(change), own));
}

#[test]
fn a_header_that_is_none_is_an_error_and_a_strange_token_is_left_out() {
    for bad in ["", "{}", "[]", "{\"tokens\":{\"x\":{}}}"] {
        assert!(Header::parse(bad).is_err(), "{bad}");
    }
    let mut json: serde_json::Value = serde_json::from_str(HEADER).unwrap();
    json["tokens"]["0"]["keyslots"] = serde_json::json!([]);
    json["tokens"]["1"]["tpm2-policy-hash"] = serde_json::json!(["two", "shards"]);
    json["tokens"]["2"] = serde_json::json!({"type": "systemd-recovery", "keyslots": ["3"]});
    assert!(Header::parse(&json.to_string()).unwrap().slots.is_empty());
}
