//! What is settled before the first write, step by step; a person can go back one step each time.
//!
//! A further question is a step in [`super::way::ORDER`], a field of [`Draft`], and a method here.

use super::attempt::{Attempt, seen};
use super::bios::firmware;
use super::dialogue::{Dialogue, Reply};
use super::encrypt::{self, Kept, Keys};
use super::hash::From;
use super::hosts::{self, Chosen};
use super::identity::{self, Identity};
use super::keep;
use super::medium::Medium;
use super::plan::{Ask, Plan, matching, plan};
use super::progress::Bar;
use super::refusal::{Left, Refusal, Stop};
use super::summary;
use super::tpm;
use super::variant::{self, Fitting};
use super::verify;
use super::way::{Next, Step, Way, Went};
use crate::error::Error;
use crate::mounts::Mount;
use crate::stage1::not_before;
use landfall_hosts::medium::Unattended;
use landfall_hosts::report::PlanSaid;
use std::path::PathBuf;

/// Everything that the effects need.
#[derive(Debug)]
pub struct Settled {
    /// The host.
    pub chosen: Chosen,
    /// The disk, and what becomes of it.
    pub plan: Plan,
    /// The host's identity, where the medium has one.
    pub identity: Option<Identity>,
    /// The keys of the data partition that is kept, where it is encrypted.
    pub kept: Option<Kept>,
    /// The keys of the target's data partition, where it is to be encrypted.
    pub keys: Option<Keys>,
    /// The medium's ESP, mounted, and where.
    pub esp: (Mount, PathBuf),
}

/// What is settled so far. A step that is taken again replaces its own part.
#[derive(Debug, Default)]
struct Draft {
    /// The host, before its hardware has decided.
    host: Option<Chosen>,
    chosen: Option<Chosen>,
    /// The manifest whose files were checked.
    verified: Option<Vec<u8>>,
    esp: Option<(Mount, PathBuf)>,
    plan: Option<Plan>,
    identity: Option<Identity>,
    kept: Option<Kept>,
    keys: Option<Keys>,
}

/// What the steps stand on.
struct Ground<'m> {
    medium: &'m Medium,
    mark: Option<&'m Unattended>,
}

/// A step was taken before those that it builds on: a defect, said as one.
fn early(step: &'static str) -> Stop {
    Stop::Failed {
        step,
        error: Error::Words("it was not yet settled what to install".into()),
        left: Left::Untouched,
    }
}

impl Attempt<'_> {
    /// Takes every step, forwards and backwards, until nothing is open.
    pub(super) fn settle(&mut self, medium: &Medium, mark: Option<&Unattended>) -> Result<Settled, Stop> {
        let ground = Ground { medium, mark };
        let mut dialogue = Dialogue::new(self.context);
        let mut draft = Draft::default();
        let mut way = Way::default();
        let mut next = way.now();
        while let Next::Take(step) = next {
            let went = match step {
                Step::Host => self.host(&ground, &mut draft, &mut dialogue),
                Step::Profile => self.profile(&ground, &mut draft, &mut dialogue),
                Step::Medium => self.verify(&ground, &mut draft),
                Step::Disk => self.disk(&ground, &mut draft, &mut dialogue),
                Step::State => self.state(&ground, &mut draft, &mut dialogue),
                Step::Identity => identity_of(&ground, &mut draft, &mut dialogue),
                Step::Keys => self.keys(&ground, &mut draft, &mut dialogue),
                Step::Confirm => self.confirm(&draft, &mut dialogue),
            }?;
            next = way.went(went);
        }
        if next == Next::Leave {
            return Err(left(self.host.as_deref()).into());
        }
        let Draft { chosen: Some(chosen), plan: Some(plan), identity, kept, keys, esp: Some(esp), .. } =
            draft
        else {
            return Err(early("settling"));
        };
        Ok(Settled { chosen, plan, identity, kept, keys, esp })
    }

    fn host(
        &mut self,
        ground: &Ground<'_>,
        draft: &mut Draft,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Went, Stop> {
        let choice = hosts::choose(self.context, ground.medium, &self.machine)?;
        let (chosen, went) = match choice {
            hosts::Choice::One(chosen) => (*chosen, Went::Silent),
            hosts::Choice::Ask(open) if dialogue.is_unattended() => {
                return Err(open.refusal(&self.machine).into());
            }
            hosts::Choice::Ask(hosts::Undecided { names, .. }) => {
                let title = "Which host shall this machine be";
                let Reply::Given(number) = dialogue.choose("host", title, &names) else {
                    return Ok(Went::Back);
                };
                let name = names.get(number).map(String::as_str).unwrap_or_default();
                (hosts::read(ground.medium, name)?, Went::Answered)
            }
        };
        let name = chosen.manifest.host.clone();
        self.on_error = chosen.manifest.install.on_error;
        self.context.consoles.say(format!("Host: {name}"));
        let meant = ground.mark.and_then(|mark| mark.host.as_ref());
        if dialogue.is_unattended() && meant.is_some_and(|meant| *meant != name) {
            return Err(Refusal::new(
                "unknown-host",
                format!("the boot entry names {name}, and the medium was made for another host"),
                "write the medium again",
            )
            .into());
        }
        self.host = Some(name);
        not_before(self.context, chosen.manifest.epoch);
        // Nobody waits for a check of the whole medium to hear that no disk will do.
        let ask = Ask { manifest: &chosen.manifest, seen: &self.seen, machine: &self.machine, picked: None };
        if dialogue.is_unattended() || matching(&ask)?.len() == 1 {
            plan(&ask)?;
        }
        draft.host = Some(chosen);
        Ok(went)
    }

    /// Which of the host's generations this machine gets.
    fn profile(
        &mut self,
        ground: &Ground<'_>,
        draft: &mut Draft,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Went, Stop> {
        let host = draft.host.as_ref().ok_or_else(|| early("choosing the profile"))?;
        let (chosen, because, went) = match variant::fitting(&ground.medium.folder, host, &self.machine)? {
            Fitting::One(chosen, because) => (*chosen, because, Went::Silent),
            Fitting::Open(unfit) if dialogue.is_unattended() => {
                return Err(variant::refused(host, &unfit, &self.machine).into());
            }
            Fitting::Open(unfit) => {
                let sets = variant::sets(host);
                let title = format!("What kind of machine shall this be ({unfit})");
                let Reply::Given(number) = dialogue.choose("profile", &title, &sets) else {
                    return Ok(Went::Back);
                };
                let set = sets.get(number).map(String::as_str).unwrap_or_default();
                let chosen = variant::read(&ground.medium.folder, host, set)?;
                (chosen, vec!["chosen by hand".to_owned()], Went::Answered)
            }
        };
        self.profiles.clear();
        if host.manifest.variants.is_some() {
            let name = chosen.manifest.profiles.join("+");
            self.context.consoles.say(format!("Profiles: {name} ({})", because.join("; ")));
            self.context.consoles.sentinel("PROFILES", &[("set", &name)]);
            self.profiles.push(name);
            self.profiles.extend(because);
        }
        draft.chosen = Some(chosen);
        Ok(went)
    }

    /// Every byte that will be needed, before the target is touched.
    ///
    /// The medium's ESP stays mounted, so that its files are read from the stick only once: a small
    /// FAT has clusters of 512 bytes, and is slow.
    fn verify(&mut self, ground: &Ground<'_>, draft: &mut Draft) -> Result<Went, Stop> {
        let context = self.context;
        let chosen = draft.chosen.as_ref().ok_or_else(|| early("checking the medium"))?;
        let manifest = &chosen.manifest;
        if draft.verified.as_ref() == Some(&chosen.bytes) {
            return Ok(Went::Silent);
        }
        let failed = |error: Error| verify::refusal(&verify::Wrong::Unreadable(error));
        let (mount, folder) = match draft.esp.take() {
            Some(esp) => esp,
            None => ground.medium.esp_for_reading(context).map_err(failed)?,
        };
        let mut files = verify::layers(manifest, &ground.medium.folder);
        files.extend(verify::esp_files(manifest, &folder));
        let bytes = verify::bytes(&files);
        let wrong = self.timed.run("verify", bytes, || {
            let bar = Bar::begin(&context.consoles, "Checking the medium", bytes);
            verify::all(&files, From::Cache, &bar)
        });
        if let Some(wrong) = wrong {
            return Err(verify::refusal(&wrong).into());
        }
        draft.esp = Some((mount, folder));
        draft.verified = Some(chosen.bytes.clone());
        Ok(Went::Silent)
    }

    fn disk(
        &mut self,
        ground: &Ground<'_>,
        draft: &mut Draft,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Went, Stop> {
        let manifest = &draft.chosen.as_ref().ok_or_else(|| early("choosing the disk"))?.manifest;
        // Disks that were slow to come are here by now: only what is seen last is decided on.
        self.seen = seen(self.context, Some(ground.medium));
        let mut ask = Ask { manifest, seen: &self.seen, machine: &self.machine, picked: None };
        let all = matching(&ask)?;
        let mut went = Went::Silent;
        if !dialogue.is_unattended() && all.len() > 1 {
            let items: Vec<String> = all.iter().map(|seen| seen.line()).collect();
            let title = format!("Which disk shall {} be installed on", manifest.host);
            let Reply::Given(number) = dialogue.choose("disk", &title, &items) else {
                return Ok(Went::Back);
            };
            ask.picked = all.get(number).map(|seen| &seen.disk);
            went = Went::Answered;
        }
        let plan = plan(&ask)?;
        self.context.consoles.say(format!(
            "Target: {}; it holds {}.",
            plan.disk.line(),
            plan.content.words()
        ));
        self.plan = Some(PlanSaid {
            disk: plan.disk.line(),
            lost: plan.content.words(),
            copy_bytes: plan.layer_bytes,
        });
        self.target = Some(plan.disk.path.to_string_lossy().into_owned());
        firmware(&self.machine, manifest, &plan.disk)?;
        tpm::allowed(
            &manifest.host,
            manifest.install.encrypt.as_ref(),
            &self.machine,
            &self.context.roots.sys,
        )?;
        draft.plan = Some(plan);
        Ok(went)
    }

    /// What stays on the disk, where its state is kept.
    fn state(
        &self,
        ground: &Ground<'_>,
        draft: &mut Draft,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Went, Stop> {
        let (Some(chosen), Some(plan)) = (&draft.chosen, &mut draft.plan) else {
            return Err(early("looking at the state"));
        };
        let ask =
            encrypt::Ask { context: self.context, chosen, medium: &ground.medium.folder, identity: None };
        let (key, went) = keep::refine(&ask, plan, dialogue)?;
        draft.kept = key.map(|key| Kept { key, pin: None });
        Ok(went)
    }

    fn keys(
        &self,
        ground: &Ground<'_>,
        draft: &mut Draft,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Went, Stop> {
        let chosen = draft.chosen.as_ref().ok_or_else(|| early("choosing the disk's keys"))?;
        let identity = draft.identity.as_ref();
        let ask = encrypt::Ask { context: self.context, chosen, medium: &ground.medium.folder, identity };
        // A volume that is kept has its keys, but for those that the TPM gets.
        if let Some(kept) = &mut draft.kept {
            draft.keys = None;
            let (pin, went) = ask.pin_of_kept(dialogue)?;
            kept.pin = pin;
            return Ok(went);
        }
        let (keys, went) = ask.keys(dialogue)?;
        draft.keys = keys;
        Ok(went)
    }

    /// The last step before the first write.
    fn confirm(&self, draft: &Draft, dialogue: &mut Dialogue<'_>) -> Result<Went, Stop> {
        let (Some(chosen), Some(plan)) = (&draft.chosen, &draft.plan) else {
            return Err(early("confirming"));
        };
        if dialogue.is_unattended() {
            return Ok(Went::Silent);
        }
        self.context.consoles.say(summary::text(&chosen.manifest, plan, &self.machine));
        let words = summary::confirming_words(&plan.disk);
        let question = format!("Type {} to install, or back", words.join(" or "));
        let accepts = |line: &str| words.iter().any(|word| word == line);
        Ok(match dialogue.typed("confirm", &question, accepts) {
            Reply::Given(_) => Went::Answered,
            Reply::Back => Went::Back,
        })
    }
}

fn identity_of(ground: &Ground<'_>, draft: &mut Draft, dialogue: &mut Dialogue<'_>) -> Result<Went, Stop> {
    let host = &draft.chosen.as_ref().ok_or_else(|| early("opening the identity"))?.manifest.host;
    let earlier = draft.plan.as_ref().and_then(|plan| plan.earlier.as_ref());
    let kept = earlier.is_some_and(|earlier| earlier.state.has_identity);
    let (identity, went) = identity::take(dialogue, &ground.medium.folder, host, kept)?;
    draft.identity = identity;
    Ok(went)
}

fn left(host: Option<&str>) -> Refusal {
    Refusal::new(
        "not-confirmed",
        format!("the installation of {} was not confirmed", host.unwrap_or("a host")),
        "try again, or power off",
    )
}
