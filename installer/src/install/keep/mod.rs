//! `existing = "keep-state"`: the system of an earlier Landfall is replaced, and what its people
//! and its machine have made stays: `/home`, `/var`, the kept paths, the identity.

mod look;
mod replace;
mod unlock;

pub use look::Earlier;
pub use replace::replace;

use super::content::Content;
use super::dialogue::{Dialogue, Reply};
use super::encrypt::Ask;
use super::plan::Plan;
use super::refusal::Refusal;
use super::swap::SwapRoom;
use super::way::Went;
use crate::bytes::human;
use crate::stage1::STATE_FORMAT;
use age::secrecy::SecretString;
use landfall_disk::MACHINE_ESP_BYTES;
use landfall_hosts::host::Existing;
use landfall_hosts::manifest::Manifest;

/// Room that has to be left on the data partition beside the new layers: manifests, a journal, a
/// first boot.
const ROOM_BYTES: u64 = 256 << 20;

/// Whether this content is kept by a host that asks for it. What holds nothing is installed as ever.
pub fn applies(existing: Existing, content: &Content) -> bool {
    let kept = matches!(content, Content::Machine { .. } | Content::HalfKept { .. });
    existing == Existing::KeepState && kept
}

/// Completes the plan of a disk whose state is kept, or refuses; gives the key of its volume, too,
/// where it has one. Where a person goes back, the plan stays as it is.
pub fn refine(
    ask: &Ask<'_>,
    plan: &mut Plan,
    dialogue: &mut Dialogue<'_>,
) -> Result<(Option<SecretString>, Went), Refusal> {
    let manifest = &ask.chosen.manifest;
    if !applies(manifest.install.existing, &plan.content) {
        return Ok((None, Went::Silent));
    }
    let key = match unlock::key(ask, plan, dialogue)? {
        Reply::Given(key) => key,
        Reply::Back => return Ok((None, Went::Back)),
    };
    let asked = key.is_some() && !dialogue.is_unattended();
    let half = matches!(plan.content, Content::HalfKept { .. });
    let how = look::How { key: key.as_ref(), half };
    let line = plan.disk.line();
    let earlier = look::look(ask.context, &plan.disk, &how).map_err(|error| {
        Refusal::new(
            "state-unreadable",
            format!("the state on {line} cannot be read: {}", error.chain()),
            "start the machine's own system once and shut it down; or set existing = \"wipe\" if all of it may go",
        )
    })?;
    let encrypted = key.is_some();
    judge(manifest, (&earlier, encrypted), plan.swap).map_err(|refusal| {
        let message = format!("the state on {line} cannot be kept: {}", refusal.message);
        Refusal { message, ..refusal }
    })?;
    plan.layout = earlier.layout;
    plan.earlier = Some(earlier);
    Ok((key, if asked { Went::Answered } else { Went::Silent }))
}

/// Why this state cannot be kept under that manifest.
fn judge(manifest: &Manifest, (earlier, encrypted): (&Earlier, bool), swap: SwapRoom) -> Result<(), Refusal> {
    let seed = &earlier.state.seed;
    if seed.site != manifest.site {
        return Err(Refusal::new(
            "state-of-another-site",
            format!("it holds {}, a machine of another site ({})", seed.host, seed.site),
            "state is kept for the site that made it: use a medium of that site, or set existing = \
             \"wipe\" if all of it may go",
        ));
    }
    if seed.host != manifest.host {
        return Err(Refusal::new(
            "state-of-another-host",
            format!("it holds the machine {}, and {} shall be installed", seed.host, manifest.host),
            "install the same host, name another disk in the site, or set existing = \"wipe\" if all \
             of it may go",
        ));
    }
    if manifest.install.encrypt.is_some() && !encrypted {
        return Err(Refusal::new(
            "state-not-encrypted",
            "the host asks for an encrypted disk, and what is there would stay as it is",
            "save the state, set existing = \"wipe\", and install the machine anew",
        ));
    }
    if earlier.state.format > STATE_FORMAT {
        return Err(Refusal::new(
            "state-newer",
            format!("its state has format {}, and this /init knows {STATE_FORMAT}", earlier.state.format),
            "build the medium with a newer Landfall",
        ));
    }
    if earlier.hibernated {
        return Err(Refusal::new(
            "machine-hibernates",
            "the machine on it hibernates: what is written now would be lost when it wakes",
            "start it, shut it down, and try again",
        ));
    }
    partitions(earlier, swap)?;
    room(manifest, earlier, swap)
}

/// Partitions stay where they are.
fn partitions(earlier: &Earlier, swap: SwapRoom) -> Result<(), Refusal> {
    let layout = &earlier.layout;
    let has = layout.swap.map_or(0, |swap| swap.len_bytes);
    if layout.esp.len_bytes < MACHINE_ESP_BYTES {
        return Err(Refusal::new(
            "layout-differs",
            format!(
                "its EFI system partition has {}, and {} are needed",
                human(layout.esp.len_bytes),
                human(MACHINE_ESP_BYTES)
            ),
            "save the state, set existing = \"wipe\", and install the machine anew",
        ));
    }
    if has < swap.partition_bytes {
        return Err(Refusal::new(
            "layout-differs",
            format!(
                "its swap partition has {}, and the host asks for {}",
                human(has),
                human(swap.partition_bytes)
            ),
            "partitions are not moved under state: set [disk] swap to \"file:SIZE\" or \"zram\"",
        ));
    }
    Ok(())
}

/// Old and new layers stand side by side until the new system is whole.
fn room(manifest: &Manifest, earlier: &Earlier, swap: SwapRoom) -> Result<(), Refusal> {
    let missing =
        manifest.layers.iter().filter(|layer| earlier.state.layers.get(&layer.sha256) != Some(&layer.size));
    let layers = missing.fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    let swap = swap.file_bytes.saturating_sub(earlier.state.swap_file_bytes);
    let need = layers.saturating_add(swap).saturating_add(ROOM_BYTES);
    if earlier.free_bytes < need {
        return Err(Refusal::new(
            "disk-too-full",
            format!("{} are free on it, and {} are needed", human(earlier.free_bytes), human(need)),
            "start the machine and make room in /home or /var, or give the host fewer packages or less swap",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::look::State;
    use super::*;
    use crate::install::plan::tests::manifest as manifest_of;
    use landfall_disk::{Guids, Layout, MIB};
    use landfall_hosts::medium::Seed;

    const GIB: u64 = 1 << 30;

    fn manifest() -> Manifest {
        manifest_of("transport = 'virtio'", Existing::KeepState)
    }

    fn earlier() -> Earlier {
        let seed = Seed { format: 1, host: "vm".into(), site: "s".into(), generation: 1, ..Seed::default() };
        let state = State { seed, format: 1, layers: [].into(), swap_file_bytes: 0, has_identity: true };
        Earlier {
            layout: Layout::machine(20 * GIB, 512).unwrap(),
            guids: Guids::derived(b"x"),
            free_bytes: 10 * GIB,
            hibernated: false,
            state,
        }
    }

    fn slug(earlier: &Earlier, swap: SwapRoom) -> Option<&'static str> {
        judge(&manifest(), (earlier, false), swap).err().map(|refusal| {
            assert!(!refusal.message.is_empty() && !refusal.remedy.is_empty());
            refusal.slug
        })
    }

    #[test]
    fn only_the_same_machine_of_the_same_site_is_kept() {
        let none = SwapRoom::default();
        assert_eq!(slug(&earlier(), none), None);
        let mut other = earlier();
        other.state.seed.site = "another".into();
        assert_eq!(slug(&other, none), Some("state-of-another-site"));
        let mut other = earlier();
        other.state.seed.host = "laptop".into();
        assert_eq!(slug(&other, none), Some("state-of-another-host"));
        let mut newer = earlier();
        newer.state.format = STATE_FORMAT + 1;
        assert_eq!(slug(&newer, none), Some("state-newer"));
        let mut encrypts = manifest();
        encrypts.install.encrypt = Some(landfall_hosts::manifest::EncryptSpec::default());
        let plain = judge(&encrypts, (&earlier(), false), none);
        assert_eq!(plain.unwrap_err().slug, "state-not-encrypted");
        assert!(judge(&encrypts, (&earlier(), true), none).is_ok());
        assert_eq!(slug(&Earlier { hibernated: true, ..earlier() }, none), Some("machine-hibernates"));
    }

    #[test]
    fn new_layers_need_room_beside_the_old_ones() {
        let none = SwapRoom::default();
        let tight = |free_bytes| Earlier { free_bytes, ..earlier() };
        assert_eq!(slug(&tight(GIB + ROOM_BYTES), none), None);
        assert_eq!(slug(&tight(GIB + ROOM_BYTES - 1), none), Some("disk-too-full"));
        let mut there = tight(ROOM_BYTES);
        there.state.layers.insert("0".into(), GIB);
        assert_eq!(slug(&there, none), None);
        there.state.layers.insert("0".into(), GIB - 1);
        assert_eq!(slug(&there, none), Some("disk-too-full"));
        let file = SwapRoom { file_bytes: 2 * GIB, ..none };
        let mut swaps = tight(2 * GIB + ROOM_BYTES);
        assert_eq!(slug(&swaps, file), Some("disk-too-full"));
        swaps.state.swap_file_bytes = GIB;
        assert_eq!(slug(&swaps, file), None);
    }

    #[test]
    fn partitions_are_not_moved() {
        let wants = SwapRoom { partition_bytes: GIB, ..SwapRoom::default() };
        assert_eq!(slug(&earlier(), wants), Some("layout-differs"));
        let mut has = earlier();
        has.layout = has.layout.with_swap(GIB).unwrap();
        assert_eq!(slug(&has, wants), None);
        assert_eq!(slug(&has, SwapRoom::default()), None);
        has.layout.esp.len_bytes -= MIB;
        assert_eq!(slug(&has, wants), Some("layout-differs"));
    }
}
