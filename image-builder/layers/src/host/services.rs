//! `[services]` and the `enable` of `[units]`.

use super::Layer;
use super::units::with_suffix;
use crate::error::Result;

impl Layer<'_> {
    pub(super) fn services(&mut self) -> Result<()> {
        let spec = self.spec;
        let own = spec.host.units.iter().filter(|(_, unit)| unit.enable).map(|(name, _)| name);
        for name in spec.host.services.disable.iter() {
            self.disable(&with_suffix(name))?;
        }
        for name in spec.host.services.enable.iter().chain(own) {
            self.enable(&with_suffix(name))?;
        }
        for name in &spec.host.services.mask {
            self.mask(&with_suffix(name));
        }
        Ok(())
    }
}
