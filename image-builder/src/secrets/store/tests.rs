use super::*;
use crate::secrets::Nobody;

struct Site {
    folder: tempfile::TempDir,
    key: PathBuf,
    recipient: Recipient,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let key = folder.path().join("admin.txt");
        std::fs::write(&key, identity.to_string().expose_secret()).unwrap();
        let recipient = Recipient::parse(&identity.to_public().to_string(), "sam").unwrap();
        Self { folder, key, recipient }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn store(&self) -> Store {
        Store::new(self.path(), vec![self.recipient.clone()]).unwrap()
    }

    fn admin(&self) -> Result<AdminIdentities, SecretsError> {
        AdminIdentities::load(&self.key, &Nobody)
    }

    fn host(&self, name: &str) -> AdminIdentities {
        let text = host_identity::host_identity(self.path(), name, &self.admin().unwrap()).unwrap();
        AdminIdentities::from_text(&text, Path::new(name)).unwrap()
    }
}

fn secret(file: &str, hosts: &[&str]) -> SecretFile {
    SecretFile {
        file: file.to_string(),
        names: BTreeSet::from(["x".to_string()]),
        hosts: hosts.iter().map(|h| (*h).to_string()).collect(),
    }
}

#[test]
fn a_host_reads_what_it_refers_to_and_nothing_else() {
    let site = Site::new();
    let store = site.store();
    for host in ["vm", "laptop"] {
        host_identity::create(site.path(), host, store.admins()).unwrap();
    }
    store.write(&secret("secrets/a.age", &["vm"]), b"value").unwrap();
    let by_vm = store.read("secrets/a.age", &site.host("vm")).unwrap();
    assert_eq!(by_vm.expose_secret(), b"value");
    assert!(store.read("secrets/a.age", &site.host("laptop")).is_err());
    assert_eq!(store.read("secrets/a.age", &site.admin().unwrap()).unwrap().expose_secret(), b"value");
}

#[test]
fn rekey_gives_and_takes_readers_and_is_idle_the_second_time() {
    let site = Site::new();
    let store = site.store();
    host_identity::create(site.path(), "vm", store.admins()).unwrap();
    let before = [secret("secrets/a.age", &["vm", "laptop"])];
    store.write(&before[0], b"value").unwrap();
    let status = &store.status(&before).unwrap()[0];
    assert_eq!(status.standing, Standing::Equal);
    assert_eq!(status.without_identity, BTreeSet::from(["laptop".to_string()]));

    host_identity::create(site.path(), "laptop", store.admins()).unwrap();
    let done = store.rekey(&before, || site.admin()).unwrap();
    assert_eq!(done.changed, ["secrets/a.age"]);
    assert!(done.withdrawn.is_empty());
    assert!(store.read("secrets/a.age", &site.host("laptop")).is_ok());
    let idle = store.rekey(&before, || panic!("no key is needed")).unwrap();
    assert!(idle.changed.is_empty());

    let after = [secret("secrets/a.age", &["laptop"])];
    let done = store.rekey(&after, || site.admin()).unwrap();
    assert_eq!(done.withdrawn, ["secrets/a.age"]);
    assert!(store.read("secrets/a.age", &site.host("vm")).is_err());
}

#[test]
fn a_new_admin_gets_identities_and_secrets() {
    let site = Site::new();
    host_identity::create(site.path(), "vm", site.store().admins()).unwrap();
    let second = age::x25519::Identity::generate();
    let both =
        vec![site.recipient.clone(), Recipient::parse(&second.to_public().to_string(), "kim").unwrap()];
    let store = Store::new(site.path(), both).unwrap();
    let done = store.rekey(&[], || site.admin()).unwrap();
    assert_eq!(done.changed, ["identities/vm.age"]);
    let kim = AdminIdentities::from_text(&second.to_string(), Path::new("kim")).unwrap();
    assert!(host_identity::host_identity(site.path(), "vm", &kim).is_ok());
}

#[test]
fn a_file_from_elsewhere_is_unknown_and_sops_is_left_alone() {
    let site = Site::new();
    let store = site.store();
    let own = crypt::encrypt(b"v", store.admins(), "x").unwrap();
    files::replace(&site.path().join("secrets/a.age"), &own, MODE_PUBLIC).unwrap();
    files::replace(&site.path().join("secrets/b.yaml"), b"sops: {}", MODE_PUBLIC).unwrap();
    let all = [secret("secrets/a.age", &[]), secret("secrets/b.yaml", &[]), secret("secrets/c.age", &[])];
    let done = store.rekey(&all, || site.admin()).unwrap();
    assert_eq!(done.changed, ["secrets/a.age"]);
    assert_eq!(done.foreign, ["secrets/b.yaml"]);
    assert_eq!(done.absent, ["secrets/c.age"]);
}

#[test]
fn no_path_leaves_the_site() {
    let site = Site::new();
    let store = site.store();
    for bad in ["", "/etc/shadow", "../x", "secrets/../../x", "."] {
        assert!(store.write(&secret(bad, &[]), b"v").is_err(), "{bad}");
        assert!(store.read(bad, &site.admin().unwrap()).is_err(), "{bad}");
    }
    assert!(Store::new(site.path(), Vec::new()).is_err());
}

#[test]
fn one_file_that_cannot_be_opened_does_not_hold_up_the_others() {
    let site = Site::new();
    let store = site.store();
    let stranger = age::x25519::Identity::generate().to_public().to_string();
    let stranger = [Recipient::parse(&stranger, "t").unwrap()];
    for (file, recipients) in [("secrets/a.age", &stranger[..]), ("secrets/b.age", store.admins())] {
        let bytes = crypt::encrypt(b"v", recipients, file).unwrap();
        files::replace(&site.path().join(file), &bytes, MODE_PUBLIC).unwrap();
    }
    let all = [secret("secrets/a.age", &[]), secret("secrets/b.age", &[])];
    let done = store.rekey(&all, || site.admin()).unwrap();
    assert_eq!(done.changed, ["secrets/b.age"]);
    assert_eq!(done.failed.len(), 1);
    assert!(done.failed[0].1.to_string().contains("secrets/a.age"));
}
