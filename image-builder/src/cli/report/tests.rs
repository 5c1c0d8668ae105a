use super::*;
use landfall_disk::{EspTree, Extent, Guids, Layout, MIB, Old, Source as EspSource, write_esp, write_new};
use landfall_hosts::report::PlanSaid;

fn report() -> InstallReport {
    InstallReport {
        schema: 1,
        host: Some("vm".into()),
        install_id: "0011223344556677".into(),
        outcome: Outcome::Refused {
            reason: "disk-not-empty".into(),
            message: "it is not \u{1b}[31mempty".into(),
            remedy: "empty it".into(),
        },
        profiles: vec!["vm".into(), "vm: virtual = true".into()],
        facts: serde_json::json!({ "schema": 1, "product": "Kitchen PC", "firmware": "uefi" }),
        disks: serde_json::json!([
            { "disk": { "path": "/dev/vda", "size_bytes": 1u64 << 30, "serial": "S1" }, "holds": "Windows" },
            "nonsense"
        ]),
        target: None,
        plan: Some(PlanSaid { disk: "/dev/vda (S1)".into(), lost: "Windows".into(), copy_bytes: 1 << 20 }),
        phases: vec![Phase { name: "verify".into(), seconds: 2.0, bytes: 4 << 20 }],
        log: vec!["Host: vm".into()],
        recovery_key: Some("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n".into()),
    }
}

#[test]
fn the_page_has_every_part_and_no_control_character() {
    let page = page(&report());
    let parts = [
        "refused",
        "empty it",
        "Kitchen PC",
        "/dev/vda",
        "S1: Windows",
        "4 MiB at 2 MiB/s",
        "Host: vm",
        "vm (vm: virtual = true)",
        "age -d -i",
        "\n-----BEGIN AGE",
    ];
    for part in parts {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains('\u{1b}'));
}

/// A stick with these reports in this order.
fn stick(names: &[&str]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let layout = Layout::medium(64 * MIB, MIB);
    file.as_file().set_len(layout.disk_bytes).unwrap();
    write_new(file.as_file_mut(), &layout, &Guids::derived(b"x"), types::MEDIUM_NAME, Old::Zeroes).unwrap();
    let mut tree = EspTree { volume_id: 1, ..EspTree::default() };
    for name in names {
        let text = serde_json::to_string(&InstallReport { host: Some((*name).into()), ..report() }).unwrap();
        tree.add(format!("reports/{name}"), EspSource::Bytes(text.into_bytes()));
    }
    tree.add("reports/notes.txt", EspSource::Bytes(b"x".to_vec()));
    let at = Extent { start_bytes: layout.esp.start_bytes, len_bytes: layout.esp.len_bytes };
    write_esp(&file.reopen().unwrap(), at, 512, &tree).unwrap_or_else(|_| {
        let both = std::fs::OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
        write_esp(&both, at, 512, &tree).unwrap();
    });
    file
}

#[test]
fn the_newest_report_of_a_stick_is_found_without_mounting_it() {
    let stick = stick(&["vm-00-2.json", "vm-00-10.json", "vm-00-9.json"]);
    let source = open(stick.path()).unwrap();
    let names: Vec<String> =
        source.entries(stick.path()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["vm-00-10.json", "vm-00-9.json", "vm-00-2.json"]);
    let text = source.text(stick.path(), None).unwrap();
    assert_eq!(parse(&text).unwrap().host.as_deref(), Some("vm-00-10.json"));
    let named = open(stick.path()).unwrap().text(stick.path(), Some("vm-00-2.json")).unwrap();
    assert!(named.contains("vm-00-2"));
    assert!(open(stick.path()).unwrap().text(stick.path(), Some("none")).is_err());
}

#[test]
fn what_is_no_report_is_an_error_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    assert!(open(&file).is_err());
    for bytes in [&b""[..], b"\x7fELF", &[0u8; 5000]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(open(&file).is_err());
    }
    for text in ["{}", "{\"schema\": 1}", "{", "{\"outcome\": []}"] {
        assert!(parse(text).is_err(), "{text}");
    }
    let newer = serde_json::to_string(&InstallReport { schema: 2, ..report() }).unwrap();
    assert!(parse(&newer).unwrap_err().contains("schema 2"));
    // An older report, which has no plan.
    let mut value = serde_json::to_value(report()).unwrap();
    value.as_object_mut().unwrap().remove("plan");
    assert_eq!(parse(&value.to_string()).unwrap().plan, None);
}
