//! The built-in surfaces: `surfaces/*.yaml`, read by the same tables and with the same faults as the operator's files.

mod decode;
mod sections;

use crate::{Faults, HandleKind, Namespace, Surfaces, UsageName, UsageShape};
use decode::parse;
use std::sync::LazyLock;

/// The built-in files: name and text. Their order is the order in which a family is taken where nothing else tells two apart.
const FILES: [(&str, &str); 11] = [
    ("surfaces/openai.yaml", include_str!("../surfaces/openai.yaml")),
    ("surfaces/anthropic.yaml", include_str!("../surfaces/anthropic.yaml")),
    ("surfaces/google.yaml", include_str!("../surfaces/google.yaml")),
    ("surfaces/bedrock.yaml", include_str!("../surfaces/bedrock.yaml")),
    ("surfaces/bedrock-agents.yaml", include_str!("../surfaces/bedrock-agents.yaml")),
    ("surfaces/bedrock-agentcore.yaml", include_str!("../surfaces/bedrock-agentcore.yaml")),
    ("surfaces/bedrock-agentcore-gateway.yaml", include_str!("../surfaces/bedrock-agentcore-gateway.yaml")),
    ("surfaces/mcp.yaml", include_str!("../surfaces/mcp.yaml")),
    ("surfaces/a2a.yaml", include_str!("../surfaces/a2a.yaml")),
    ("surfaces/foundry.yaml", include_str!("../surfaces/foundry.yaml")),
    ("surfaces/vendors.yaml", include_str!("../surfaces/vendors.yaml")),
];

impl Surfaces {
    /// The surfaces and vendors that are known without being told.
    #[must_use]
    pub fn built_in() -> Self {
        static BUILT_IN: LazyLock<Surfaces> = LazyLock::new(|| {
            let mut all = Surfaces::default();
            for (file, text) in FILES {
                let one = parse(text, file).expect("a test reads the built-in files");
                all.add(one).expect("a test adds the built-in files up");
            }
            all.check().expect("a test checks the built-in files");
            all
        });
        BUILT_IN.clone()
    }

    /// Reads a file of surfaces.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse(text: &str, file: &str) -> Result<Self, Faults> {
        parse(text, file)
    }

    /// Adds another file's families, kinds, surfaces and vendors.
    ///
    /// # Errors
    /// When a name would mean two things; the text says which.
    pub fn add(&mut self, other: Self) -> Result<(), String> {
        let first = self.families.len();
        for family in other.families {
            if self.families.iter().any(|known| known.name == family.name) {
                return Err(format!("there is a family `{}` already", family.name));
            }
            self.families.push(family);
        }
        for kind in other.kinds {
            if self.kinds.iter().any(|known| known.name == kind.name) {
                return Err(format!("there is a kind of handle `{}` already", kind.name));
            }
            self.kinds.push(kind);
        }
        for usage in other.usages {
            if self.usages.iter().any(|known| known.name == usage.name) {
                return Err(format!("there is a usage `{}` already", usage.name));
            }
            self.usages.push(usage);
        }
        for mut surface in other.surfaces {
            surface.family += first;
            if self.surfaces.iter().any(|known| known.id == surface.id) {
                return Err(format!("there is a surface `{}` already", surface.id));
            }
            self.surfaces.push(surface);
        }
        for vendor in other.vendors {
            match self.vendors.iter_mut().find(|known| known.name == vendor.name) {
                Some(known) => known.models.extend(vendor.models),
                None => self.vendors.push(vendor),
            }
        }
        Ok(())
    }

    /// Whether everything that the surfaces speak of is there, once all files are added up.
    ///
    /// # Errors
    /// The text names the first surface that speaks of what there is not.
    pub fn check(&self) -> Result<(), String> {
        for surface in &self.surfaces {
            if let Some(kind) = surface.kinds().find(|kind| self.kind(kind).is_none()) {
                return Err(format!(
                    "`{}` speaks of the kind of handle `{kind}`, which there is not",
                    surface.id
                ));
            }
            if let Some(usage) = surface.usage.iter().find(|usage| self.usage(usage).is_none()) {
                return Err(format!("`{}` speaks of the usage `{usage}`, which there is not", surface.id));
            }
            if !self.vendors.iter().any(|vendor| vendor.name == surface.vendor) {
                return Err(format!(
                    "`{}` is of the vendor `{}`, whom nobody knows",
                    surface.id, surface.vendor
                ));
            }
        }
        Ok(())
    }

    /// A kind of handle by its name.
    #[must_use]
    pub fn kind(&self, name: &Namespace) -> Option<&HandleKind> {
        self.kinds.iter().find(|kind| kind.name == *name)
    }

    /// A way in which answers tell of tokens by its name.
    #[must_use]
    pub fn usage(&self, name: &UsageName) -> Option<&UsageShape> {
        self.usages.iter().find(|usage| usage.name == *name)
    }
}

#[cfg(test)]
#[path = "surfaces_tests.rs"]
mod tests;
