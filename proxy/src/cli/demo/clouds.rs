//! The demo's fake clouds, and the shipped configuration moved to their ports.

use riparian_config::{Config, Endpoint};
use riparian_loadtest::{CloudSpec, FakeCloud, Kind, Sight};
use std::io;
use std::time::Duration;

/// Two Azure endpoints, one at Bedrock, one of the vendor's own.
pub(super) struct Clouds(Vec<Placed>);

struct Placed {
    cloud: FakeCloud,
    /// Where the shipped configuration has it.
    configured: &'static str,
    /// The variable that the shipped configuration takes its key from.
    variable: &'static str,
}

impl Clouds {
    pub(super) async fn start() -> io::Result<Self> {
        let azure = ["gpt55-prod", "gpt55-mini-prod", "embed-prod"];
        let bedrock = ["openai.gpt-5.5", "openai.gpt-5.5-mini"];
        let own = ["gpt-5.5", "gpt-5.5-mini", "text-embedding-3-small"];
        let cast = [
            (
                CloudSpec::new(Kind::Azure, "azure-eastus2").models(azure),
                "127.0.0.1:9101",
                "RIPARIAN_DEMO_AZURE_KEY",
            ),
            (
                CloudSpec::new(Kind::Azure, "azure-swedencentral").models(azure),
                "127.0.0.1:9102",
                "RIPARIAN_DEMO_AZURE_KEY",
            ),
            (
                CloudSpec::new(Kind::Bedrock, "bedrock-use1").models(bedrock),
                "127.0.0.1:9103",
                "RIPARIAN_DEMO_AWS_KEY",
            ),
            (
                CloudSpec::new(Kind::OpenAi, "openai-api").models(own),
                "127.0.0.1:9104",
                "RIPARIAN_DEMO_OPENAI_KEY",
            ),
        ];
        let mut placed = Vec::new();
        for (spec, configured, variable) in cast {
            let spec = spec.credential(format!("key-of-{variable}")).streaming(8, Duration::from_millis(5));
            placed.push(Placed { cloud: FakeCloud::start(spec).await?, configured, variable });
        }
        Ok(Self(placed))
    }

    /// The first endpoint that is none of these.
    pub(super) fn elsewhere<'c>(&self, config: &'c Config) -> Option<&'c Endpoint> {
        let is_here = |at: &Endpoint| {
            let authority = at.url.authority();
            !at.url.tls && self.0.iter().any(|placed| placed.configured == authority)
        };
        config.clouds.iter().flat_map(|cloud| &cloud.endpoints).find(|at| !is_here(at))
    }

    /// The configuration, with each endpoint where its fake is.
    pub(super) fn place(&self, config: &str) -> String {
        self.0.iter().fold(config.to_owned(), |text, placed| {
            text.replace(placed.configured, &placed.cloud.addr().to_string())
        })
    }

    /// The keys that the configuration refers to.
    pub(super) fn keys(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|placed| (placed.variable.to_owned(), format!("key-of-{}", placed.variable)))
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FakeCloud> {
        self.0.iter().map(|placed| &placed.cloud)
    }

    pub(super) fn named(&self, name: &str) -> &FakeCloud {
        self.iter().find(|cloud| cloud.name() == name).expect("one of the four that were started")
    }

    pub(super) fn sights(&self) -> Vec<Sight> {
        self.iter().map(Sight::from).collect()
    }

    /// Requests that reached the cloud that no term in force names.
    pub(super) fn forbidden(&self) -> u64 {
        self.named("openai-api").counts().requests
    }

    pub(super) async fn stop(self) {
        for placed in self.0 {
            placed.cloud.stop().await;
        }
    }
}
