//! The site that `landfall new` starts a person with: small, whole, and theirs.

use std::collections::BTreeMap;

/// What the person said, or what their computer says of them.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Login name.
    pub user: String,
    /// Full name.
    pub full_name: String,
    /// Email of the git identity, if one is known.
    pub email: Option<String>,
    /// Public SSH key, if there is one.
    pub ssh_key: Option<String>,
    /// Time zone.
    pub timezone: String,
    /// `LANG`.
    pub lang: String,
    /// Keyboard layout.
    pub keyboard: String,
    /// Recipient of the admin.
    pub admin: String,
    /// Public half of the signing key.
    pub signing_key: String,
    /// Name of the first host.
    pub host: String,
    /// Its device profile.
    pub device: String,
}

/// Path → text of every file that holds no secret.
pub fn files(answers: &Answers) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("site.toml".to_owned(), site(answers)),
        ("common.toml".to_owned(), common(answers)),
        (format!("hosts/{}.toml", answers.host), host(answers)),
        ("home/common/.bash_aliases".to_owned(), "alias ll='ls -l'\n".to_owned()),
        (".gitignore".to_owned(), "*.img\n".to_owned()),
    ])
}

/// File of the secret with the user's password hash.
pub fn password_file(user: &str) -> String {
    format!("secrets/{user}-password.age")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn site(answers: &Answers) -> String {
    let Answers { user, admin, signing_key, .. } = answers;
    format!(
        "# This folder says what your machines are. `landfall check` tells what is wrong with it.\n\
         schema = 1                             # this file's format\n\
         suite  = \"trixie\"\n\
         common = [\"common\"]                    # every host gets these; what a host imports is stronger\n\
         \n\
         [admins]                               # who may open every secret\n\
         {user} = {}\n\
         \n\
         [signing]                              # machines take updates that this key has signed\n\
         keys = [{}]\n",
        quoted(admin),
        quoted(signing_key),
    )
}

fn common(answers: &Answers) -> String {
    let Answers { user, full_name, lang, keyboard, timezone, .. } = answers;
    let ssh = answers.ssh_key.as_deref();
    let packages = match ssh {
        Some(_) => "[\"git\", \"vim\", \"openssh-server\", \"bash-completion\"]",
        None => "[\"git\", \"vim\", \"bash-completion\"]",
    };
    let mut text = format!(
        "# What all your machines have.\n\
         packages = {packages}\n\
         \n\
         [locale]\n\
         lang     = {}\n\
         keyboard = {}\n\
         timezone = {}\n\
         \n",
        quoted(lang),
        quoted(keyboard),
        quoted(timezone),
    );
    if ssh.is_some() {
        text += "[firewall]                             # on by default: deny in, allow out\n\
                 tcp = [22]\n\n\
                 [services]\n\
                 enable = [\"ssh\"]\n\n\
                 [files.\"/etc/ssh/sshd_config.d/10-site.conf\"]\n\
                 text = \"\"\"\nPasswordAuthentication no\nPermitRootLogin no\n\"\"\"\n\n";
    }
    text += &format!(
        "[users.{user}]\n\
         full_name = {}\n\
         uid       = 1000\n\
         groups    = [\"sudo\"]\n",
        quoted(full_name)
    );
    if let Some(key) = ssh {
        text += &format!("ssh_keys  = [{}]\n", quoted(key));
    }
    text += &format!(
        "password  = {{ secret = \"{user}-password\" }}\n\
         [secrets.{user}-password]              # a crypt(5) hash: landfall secret set --password {user}-password\n\
         file = {}\n\
         \n\
         [home.{user}]\n\
         trees = [\"home/common\"]                # a folder laid over $HOME\n",
        quoted(&password_file(user)),
    );
    if let Some(email) = &answers.email {
        text += &format!("git   = {{ name = {}, email = {} }}\n", quoted(full_name), quoted(email));
    }
    text += "\n[state]\n\
             keep = [\"/root\", \"/srv\"]               # beside /home and /var: survives the wipe at boot\n";
    text
}

fn host(answers: &Answers) -> String {
    let Answers { host, device, .. } = answers;
    let (disk, params) = match device.as_str() {
        "vm" => (
            "{ transport = \"virtio\" }",
            "[kernel]\nparams = [\"console=tty0\", \"console=ttyS0,115200\"]\n\n",
        ),
        _ => ("{ removable = false, smallest = true }", ""),
    };
    let existing = if device == "vm" { "wipe" } else { "refuse" };
    format!(
        "# {host}: what makes this machine different from the others.\n\
         device   = {}\n\
         packages = []\n\
         \n\
         {params}\
         [disk]\n\
         # Exactly one disk may match; every other is never opened for writing.\n\
         match    = {disk}\n\
         # \"refuse\" leaves a disk alone that is not empty; \"wipe\" destroys what is on it.\n\
         existing = \"{existing}\"\n",
        quoted(device),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;
    use crate::site::tree::Memory;

    fn answers() -> Answers {
        Answers {
            user: "sam".into(),
            full_name: "Sam \"the\" O'Example \\ ü".into(),
            email: Some("sam@example.org".into()),
            ssh_key: Some("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO sam".into()),
            timezone: "Europe/London".into(),
            lang: "en_GB.UTF-8".into(),
            keyboard: "gb".into(),
            admin: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".into(),
            signing_key: "RWQ".into(),
            host: "vm".into(),
            device: "vm".into(),
        }
    }

    fn check(answers: &Answers) -> Vec<String> {
        let mut files = files(answers);
        files.insert(password_file(&answers.user), String::new());
        files.insert(format!("identities/{}.pub", answers.host), String::new());
        let site = Site::read(Box::new(Memory(files))).unwrap();
        site.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_site_has_nothing_to_complain_about() {
        for device in ["vm", "laptop", "desktop", "server"] {
            for with_key in [true, false] {
                let mut answers = answers();
                answers.device = device.into();
                if !with_key {
                    answers.ssh_key = None;
                    answers.email = None;
                }
                assert_eq!(check(&answers), Vec::<String>::new(), "{device} {with_key}");
            }
        }
    }
}
