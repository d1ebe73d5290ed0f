//! One replica of the proxy: started, ended politely or not, started again on the same ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::compare::child::Child;

/// How long a replica may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long one that was asked to end may take.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Shared by the clients, which need its address, and whoever makes trouble.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    program: PathBuf,
    dir: PathBuf,
    child: Arc<Mutex<Option<Child>>>,
}

impl Replica {
    pub(super) fn new(
        name: &str,
        listen: SocketAddr,
        admin: SocketAddr,
        program: PathBuf,
        dir: PathBuf,
    ) -> Replica {
        Replica { name: name.to_owned(), listen, admin, program, dir, child: Arc::default() }
    }

    /// The file of its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join(format!("{}.yaml", self.name))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("no code panics while it holds the process")
    }

    /// Starts it and waits until it is ready.
    pub(super) async fn start(&self) -> Result<(), String> {
        let args = ["run".to_owned(), "--config".to_owned(), self.config().display().to_string()];
        let child = Child::spawn(&self.name, &self.program, &args, &self.dir)?;
        *self.child() = Some(child);
        let end = Instant::now() + READY_WITHIN;
        while !ready(self.admin).await {
            if let Some(child) = self.child().as_mut() {
                child.check()?;
            }
            if Instant::now() > end {
                return Err(format!("{} is not ready within {READY_WITHIN:?}", self.name));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends it: asked (SIGTERM), or killed (SIGKILL) in the middle of whatever it does.
    pub(super) async fn end(&self, politely: bool) -> Result<(), String> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        let name = self.name.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let well = !politely || child.terminate(ENDS_WITHIN);
            drop(child); // which kills what is left
            well
        });
        match ended.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{name} did not end within {ENDS_WITHIN:?} of SIGTERM")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether `/readyz` says so.
async fn ready(admin: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(admin).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<bool, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), asked).await, Ok(Ok(true)))
}
