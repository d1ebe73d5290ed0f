//! The connection to a Redis, and the thread that keeps it.

use super::super::OpenFault;
use crate::credentials::Secrets;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisConnectionInfo,
    RedisError, RedisResult, TlsCertificates, Value,
};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long a connection may take, TLS and the password included.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a start waits for the first connection, so that the first request does not.
const FIRST: Duration = Duration::from_secs(1);

/// How often an idle connection is tried: one that a firewall has forgotten would fail a request.
const PING: Duration = Duration::from_secs(1);

/// How long a Redis that does not take connections is left alone: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Questions that wait to be written; more wait for room, within their deadline.
const QUEUE: usize = 1024;

/// The connection, if there is one, and which it is.
type Slot = Option<(u64, MultiplexedConnection)>;

/// Dropped, it ends the thread.
#[derive(Debug)]
pub(super) struct Link {
    slot: watch::Sender<Slot>,
    running: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) async fn open(config: &riparian_config::Redis, secrets: &Secrets) -> Result<Self, OpenFault> {
        let client = client(config, secrets)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OpenFault::Thread)?;
        let (slot, running) = (watch::Sender::new(None), watch::Sender::new(()));
        let keeper = Keeper { client, slot: slot.clone(), running: running.subscribe() };
        let thread = std::thread::Builder::new()
            .name("pin-store".to_owned())
            .spawn(move || runtime.block_on(keeper.keep()))
            .map_err(OpenFault::Thread)?;
        let link = Self { slot, running: Some(running), thread: Some(thread) };
        let mut first = link.slot.subscribe();
        if timeout(FIRST, first.wait_for(Option::is_some)).await.is_err() {
            tracing::warn!(
                "the pin store is not there yet; requests that cite state are refused until it is"
            );
        }
        Ok(link)
    }

    /// Asks, and once more when the connection broke: every question here means the same twice. Waits for a connection, so
    /// it is to be given a deadline.
    ///
    /// # Errors
    /// When one of the answers is an error.
    pub(super) async fn ask(&self, question: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut slot = self.slot.subscribe();
        loop {
            let there = slot.wait_for(Option::is_some).await.map(|there| there.clone());
            let (number, mut connection) =
                there.expect("its sender is ours, and lives").expect("it was waited for");
            match connection.send_packed_commands(question, 0, question.len()).await {
                Ok(values) => return values.into_iter().map(Value::extract_error).collect(),
                Err(error) if is_lost(&error) => lose(&self.slot, number),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a connection is of no use after this.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

impl Drop for Link {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

/// Takes this connection away, unless there is another by now.
fn lose(slot: &watch::Sender<Slot>, number: u64) {
    slot.send_if_modified(|slot| {
        let ours = slot.as_ref().is_some_and(|(there, _)| *there == number);
        if ours {
            *slot = None;
        }
        ours
    });
}

/// What the thread does: connect, and connect again.
struct Keeper {
    client: Client,
    slot: watch::Sender<Slot>,
    running: watch::Receiver<()>,
}

impl Keeper {
    async fn keep(self) {
        let mut running = self.running.clone();
        tokio::select! {
            // Nothing is ever sent: an error means that the store is gone.
            _ = running.changed() => {}
            () = self.connect() => {}
        }
    }

    async fn connect(&self) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let (mut pause, mut said) = (AGAIN.0, false);
        for number in 1.. {
            let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
            let why = match timeout(CONNECT, connecting).await {
                Ok(Ok(connection)) => {
                    if said {
                        tracing::info!("the pin store is there again");
                    }
                    (pause, said) = (AGAIN.0, false);
                    self.slot.send_replace(Some((number, connection.clone())));
                    self.hold(number, connection).await;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            if !said {
                tracing::warn!(%why, "the pin store cannot be connected to; requests that cite state are refused until it can");
                said = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// Until the connection is lost.
    async fn hold(&self, number: u64, mut connection: MultiplexedConnection) {
        let mut slot = self.slot.subscribe();
        let ping = redis::cmd("PING");
        loop {
            tokio::select! {
                _ = slot.wait_for(Option::is_none) => return,
                () = sleep(PING) => {
                    let answered = timeout(PING, connection.send_packed_command(&ping)).await;
                    if !matches!(answered, Ok(Ok(_))) {
                        lose(&self.slot, number);
                    }
                }
            }
        }
    }
}

fn client(config: &riparian_config::Redis, secrets: &Secrets) -> Result<Client, OpenFault> {
    let riparian_config::RedisUrl { tls, ref host, port, database } = config.url;
    let host = host.clone();
    let address = if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default().set_db(i64::from(database)).set_skip_set_lib_name();
    if let Some(password) = &config.password {
        settings = settings.set_password(secrets.read(password).map_err(OpenFault::Password)?);
    }
    let info = address.into_connection_info().expect("an address says where to connect to");
    let info = info.set_redis_settings(settings);
    if !tls {
        return Ok(Client::open(info).expect("nothing is left to be read"));
    }
    let fault = |path: &std::path::Path, what: String| OpenFault::Certificates(path.to_owned(), what);
    let roots = match &config.ca {
        Some(path) => Some(std::fs::read(path).map_err(|error| fault(path, error.to_string()))?),
        None => None,
    };
    let certificates = TlsCertificates { client_tls: None, root_cert: roots };
    Client::build_with_tls(info, certificates)
        .map_err(|error| fault(config.ca.as_deref().unwrap_or("".as_ref()), error.to_string()))
}
