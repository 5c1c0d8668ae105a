//! `[kernel]`, `[sysctl]`, `[env]` and `[power]`: one file each in the folder that is for it.

use super::Layer;

impl Layer<'_> {
    pub(super) fn kernel(&mut self) {
        let host = &self.spec.host;
        let mut modprobe = String::new();
        for module in &host.kernel.blacklist {
            modprobe.push_str(&format!("blacklist {module}\n"));
        }
        for (module, options) in &host.kernel.options {
            modprobe.push_str(&format!("options {module} {options}\n"));
        }
        let load: String = host.kernel.load.iter().map(|module| format!("{module}\n")).collect();
        let sysctl: String =
            host.sysctl.iter().map(|(key, value)| format!("{key} = {}\n", plain(value))).collect();
        let env: String = host.env.iter().map(|(key, value)| format!("{key}={}\n", quoted(value))).collect();
        // pam_env(8) reads this for logins, environment.d(5) is for user services.
        let pam = self.current("/etc/environment");
        self.write_unless_empty("/etc/modprobe.d/60-landfall.conf", &modprobe);
        self.write_unless_empty("/etc/modules-load.d/60-landfall.conf", &load);
        self.write_unless_empty("/etc/sysctl.d/60-landfall.conf", &sysctl);
        self.write_unless_empty("/etc/environment.d/60-landfall.conf", &env);
        if !env.is_empty() {
            self.text("/etc/environment", pam + &env);
        }
        self.power();
    }

    fn write_unless_empty(&mut self, path: &str, text: &str) {
        if !text.is_empty() {
            self.text(path, text);
        }
    }

    /// logind.conf(5); tmpfiles.d(5) writes the governor to every CPU policy.
    fn power(&mut self) {
        let power = &self.spec.host.power;
        if let Some(lid) = &power.lid {
            self.text(
                "/etc/systemd/logind.conf.d/60-landfall.conf",
                format!("[Login]\nHandleLidSwitch={lid}\n"),
            );
        }
        if let Some(governor) = &power.governor {
            let line =
                format!("w- /sys/devices/system/cpu/cpufreq/policy*/scaling_governor - - - - {governor}\n");
            self.text("/etc/tmpfiles.d/60-landfall-governor.conf", line);
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Boolean(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

/// Quotes what a shell-like reader would split or expand.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        assert_eq!(quoted("auto"), "auto");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("$HOME\"x"), "\"\\$HOME\\\"x\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
