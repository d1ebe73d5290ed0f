//! A running proxy: bound, served, reloaded, drained.

use crate::admin;
use crate::credentials::{SecretFault, Secrets};
use crate::front::{Front, Transport};
use crate::gate::{Gate, RetryBudget};
use crate::house::House;
use crate::http2::Http2App;
use crate::ledger::{self, Ledger};
use crate::meter::BookFault;
use crate::metrics::Metrics;
use crate::pins::{OpenFault, Opening};
use crate::proof::{self, Proving};
use crate::sessions::Sessions;
use crate::settle::Log;
use crate::snapshot::{Snapshot, SnapshotFault};
use crate::tls::acceptor;
use crate::workers::Workers;
use arc_swap::ArcSwap;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v2::Connector;
use pingora_core::listeners::tls::Acceptor;
use riparian_config::{Config, Faults, Listener, ListenerProtocol, Store};
use riparian_filters::identify::Keys;
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes of one file that a configuration names; the built-in surface files are a tenth of that.
const NAMED_FILE_MAX: u64 = 4 * 1024 * 1024;

/// Reads the files that the configuration `file` names: where they are not absolute, they stand beside it.
fn beside(file: &str) -> impl Fn(&str) -> Result<String, String> {
    let folder = Path::new(file).parent().map(Path::to_owned).unwrap_or_default();
    move |name| {
        let path = folder.join(name);
        let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if size > NAMED_FILE_MAX {
            return Err(format!("it has {size} bytes, over {NAMED_FILE_MAX}"));
        }
        std::fs::read_to_string(&path).map_err(|error| error.to_string())
    }
}

/// A configuration, and everything that it was read from.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file's text, and behind it those of the files that it names.
    whole: String,
}

impl Loaded {
    /// Which configuration it is: the first 16 hex digits of the BLAKE3 of all that it was read from.
    pub(crate) fn hash(&self) -> String {
        blake3::hash(self.whole.as_bytes()).to_hex()[..16].to_owned()
    }
}

/// Reads a configuration, and the files that it names.
pub(crate) fn load(text: &str, file: &str) -> Result<Loaded, Faults> {
    let (read, whole) = (beside(file), RefCell::new(text.to_owned()));
    let config = Config::parse_with(text, file, &|name| {
        let text = read(name)?;
        let mut whole = whole.borrow_mut();
        // No text can hold what stands between two: files are UTF-8.
        whole.push('\0');
        whole.push_str(&text);
        Ok(text)
    })?;
    Ok(Loaded { config, whole: whole.into_inner() })
}

/// Why a proxy does not start, or a reload is not taken.
#[derive(Debug)]
pub enum StartFault {
    /// The file cannot be read.
    File(PathBuf, std::io::Error),
    /// The file is not right.
    Config(Faults),
    /// It is right, and its contract does not do what it should: the text says what does not hold.
    Unproved(String),
    /// It is right, but what it refers to is not there.
    Snapshot(Vec<SnapshotFault>),
    /// The session key cannot be had.
    Key(SecretFault),
    /// The pin store does not open.
    Pins(OpenFault),
    /// The totals of an earlier run cannot be had.
    Meter(BookFault),
    /// An address cannot be listened on.
    Bind(String, SocketAddr, std::io::Error),
    /// A listener's certificate cannot be used.
    Tls(String, String),
    /// The access log cannot be opened.
    Log(std::io::Error),
    /// The ledger cannot be opened.
    Ledger(String),
    /// No thread can be had.
    Threads(std::io::Error),
    /// Something changed that only a restart can change.
    Restart(&'static str),
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Config(faults) => write!(f, "{faults}"),
            Self::Unproved(findings) => write!(
                f,
                "{findings}the contract is not proved, and is not put into force; `riparian prove` says more, and `run --even-if-unproved` does it all the same"
            ),
            Self::Snapshot(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if at == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            Self::Key(fault) => write!(f, "sessions.key: {fault}"),
            Self::Pins(fault) => write!(f, "{fault}"),
            Self::Meter(fault) => write!(f, "{fault}"),
            Self::Bind(name, address, error) => {
                write!(f, "listener {name}: cannot listen on {address}: {error}")
            }
            Self::Tls(name, what) => write!(f, "listener {name}: {what}"),
            Self::Log(error) => write!(f, "telemetry.access_log: {error}"),
            Self::Ledger(what) => write!(f, "{what}"),
            Self::Threads(error) => write!(f, "no worker thread can be had: {error}"),
            Self::Restart(what) => write!(f, "{what} cannot change while running; restart to change it"),
        }
    }
}

impl std::error::Error for StartFault {}

/// A proxy that is running.
pub struct Running {
    /// What its requests share.
    pub house: Arc<House>,
    /// Where clients come in: each listener's name and the address that it got.
    pub listeners: Vec<(String, SocketAddr)>,
    /// Where operators come in.
    pub admin: Option<SocketAddr>,
    secrets: Secrets,
    proving: Proving,
    acceptors: Vec<(String, Arc<ArcSwap<Acceptor>>)>,
    http2: Arc<Http2App>,
    workers: Arc<Workers>,
    tasks: Vec<JoinHandle<()>>,
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

impl Running {
    /// Starts a proxy from the text of a file, with a worker thread a core; its contract is not proved. Must be called inside a tokio runtime, which accepts
    /// connections, serves the admin listener and does what is due now and then.
    ///
    /// # Errors
    /// Whatever stands in the way; then nothing is left running.
    pub async fn start(text: &str, file: &str) -> Result<Self, StartFault> {
        Self::start_with(text, file, Secrets::system(), cores()).await
    }

    /// The same, with variables given in the stead of the environment's, and with so many threads. Where the configuration does
    /// not say where pins are kept, that is in memory.
    ///
    /// # Errors
    /// The same.
    pub async fn start_with(
        text: &str,
        file: &str,
        secrets: Secrets,
        threads: usize,
    ) -> Result<Self, StartFault> {
        Self::start_keeping(text, file, secrets, threads, Store::Memory, Proving::Skipped).await
    }

    /// The same, with pins kept in `unsaid` where the configuration does not say where, and every configuration proved, unless that
    /// is waived.
    ///
    /// # Errors
    /// The same.
    pub async fn start_keeping(
        text: &str,
        file: &str,
        secrets: Secrets,
        threads: usize,
        unsaid: Store,
        proving: Proving,
    ) -> Result<Self, StartFault> {
        // Several proxies may live in one process (tests do that); the first one installs the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let loaded = load(text, file).map_err(StartFault::Config)?;
        let (hash, config) = (loaded.hash(), loaded.config);
        let pins = Opening::begin(config.sessions.pins.store.as_ref().unwrap_or(&unsaid))
            .map_err(StartFault::Pins)?;
        let keys = match keys(&config, &secrets)? {
            Some(keys) => keys,
            None => pins.key().map_err(StartFault::Pins)?,
        };
        let metrics = Metrics::new();
        if let Some(path) = &config.meter.path {
            metrics.book.open(path).map_err(StartFault::Meter)?;
            metrics.show_kept();
        }
        let snapshot = Snapshot::new(config, hash, keys.clone(), &secrets, &metrics, None)
            .map_err(StartFault::Snapshot)?;
        proved(&snapshot, proving)?;
        let config = snapshot.policy.config.clone();
        let log = Log::open(&config.telemetry.access_log).map_err(StartFault::Log)?;
        let ledger = ledger(&config, &snapshot.hash, &secrets, &metrics)?;
        let pins = pins.open(config.sessions.pins.clone(), &keys, &secrets, metrics.pins.clone()).await;
        let pins = pins.map_err(StartFault::Pins)?;
        let house = Arc::new(House {
            pins,
            sessions: Sessions::new(metrics.sessions.clone()),
            gate: Gate::new(Arc::clone(&metrics)),
            budget: RetryBudget::default(),
            log,
            ledger,
            draining: watch::Sender::new(false),
            drains: AtomicBool::new(false),
            terms: watch::Sender::new(0),
            connector: Connector::new(Some(ConnectorOptions::new(H2_IDLE_MAX))),
            ready: AtomicBool::new(false),
            snapshot: ArcSwap::from_pointee(snapshot),
            metrics,
        });
        in_force(&house, None);
        house.resolve().await;

        let http2 = Arc::new(Http2App::new(&house, &config.limits));
        let workers = Arc::new(Workers::start(threads).map_err(StartFault::Threads)?);
        let mut running = Self {
            house,
            listeners: vec![],
            admin: None,
            secrets,
            proving,
            acceptors: vec![],
            http2,
            workers,
            tasks: vec![],
        };
        running.bind(&config)?;
        running.tasks.push(tokio::spawn(Arc::clone(&running.house).keep()));
        running.tasks.push(tokio::spawn(Arc::clone(&running.house).mind_terms()));
        running.tasks.push(tokio::spawn(Arc::clone(&running.house).mind_money()));
        running.house.ready.store(true, Ordering::Release);
        Ok(running)
    }

    /// Binds every address before it serves on any, so that a proxy that cannot start has answered nobody.
    fn bind(&mut self, config: &Config) -> Result<(), StartFault> {
        let mut fronts = Vec::new();
        for listener in &config.listeners {
            let socket = listen(listener.name.as_str(), listener.bind)?;
            let address = socket
                .local_addr()
                .map_err(|error| StartFault::Bind(listener.name.to_string(), listener.bind, error))?;
            let transport = self.transport(listener)?;
            self.listeners.push((listener.name.to_string(), address));
            fronts.push((
                Front { house: Arc::clone(&self.house), http2: Arc::clone(&self.http2), transport },
                socket,
            ));
        }
        if let Some(admin) = &config.admin {
            let socket = listen("admin", admin.bind)?;
            self.admin = socket.local_addr().ok();
            self.tasks.push(tokio::spawn(admin::serve(Arc::clone(&self.house), socket)));
        }
        let accept = |(front, socket): (Front, TcpListener)| {
            tokio::spawn(front.accept(socket, Arc::clone(&self.workers)))
        };
        self.tasks.extend(fronts.into_iter().map(accept));
        Ok(())
    }

    fn transport(&mut self, listener: &Listener) -> Result<Transport, StartFault> {
        let built =
            acceptor(&listener.protocol).map_err(|what| StartFault::Tls(listener.name.to_string(), what))?;
        Ok(match (built, &listener.protocol) {
            (Some(acceptor), _) => {
                let acceptor = Arc::new(ArcSwap::from_pointee(acceptor));
                self.acceptors.push((listener.name.to_string(), Arc::clone(&acceptor)));
                Transport::Tls(acceptor)
            }
            (None, ListenerProtocol::H2c) => Transport::PriorKnowledge,
            (None, _) => Transport::Plain,
        })
    }

    /// Puts another configuration into force, whole; or leaves the old one and says why. Requests that are being carried keep the one
    /// that they began under.
    ///
    /// # Errors
    /// When the new configuration is not right, refers to what is not there, or changes what only a restart can change.
    pub async fn reload(&self, text: &str, file: &str) -> Result<(), StartFault> {
        let taken = self.try_reload(text, file);
        self.house.metrics.reloaded(taken.is_ok());
        taken?;
        self.house.resolve().await;
        Ok(())
    }

    fn try_reload(&self, text: &str, file: &str) -> Result<(), StartFault> {
        let before = self.house.snapshot.load_full();
        let loaded = load(text, file).map_err(StartFault::Config)?;
        let (hash, config) = (loaded.hash(), loaded.config);
        unchanged(&before.policy.config, &config)?;
        let acceptors = config
            .listeners
            .iter()
            .map(|listener| {
                acceptor(&listener.protocol).map_err(|what| StartFault::Tls(listener.name.to_string(), what))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let keys = before.policy.keys.clone();
        let snapshot = Snapshot::new(config, hash, keys, &self.secrets, &self.house.metrics, Some(&before))
            .map_err(StartFault::Snapshot)?;
        proved(&snapshot, self.proving)?;
        for (built, (_, current)) in acceptors.into_iter().flatten().zip(&self.acceptors) {
            current.store(Arc::new(built));
        }
        self.house.snapshot.store(Arc::new(snapshot));
        in_force(&self.house, Some(&before));
        self.house.look_again();
        Ok(())
    }

    /// Refuses new connections, lets requests end, and returns when the last client's connection has closed, or when
    /// `limits.drain_within` is over. Idle connections close at once; those whose clients do not let them (over HTTP/2 a
    /// client has its part in that) are left after a few seconds. True when every request ended by itself.
    pub async fn drain(self) -> bool {
        let house = &self.house;
        house.drain();
        let within = house.snapshot.load().policy.config.limits.drain_within;
        // Connections and not requests: between a head's last byte and its request's beginning there is a moment in
        // which only the connection counts.
        let drained = tokio::time::timeout(within, async {
            let mut busy = Instant::now();
            while house.gate.connections() > 0 && busy.elapsed() < CLOSING {
                if house.gate.streams() > 0 {
                    busy = Instant::now();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .is_ok();
        self.tasks.iter().for_each(JoinHandle::abort);
        house.flush();
        drained
    }
}

/// What connections without a request are given to close when we drain: what was written last leaves in milliseconds, and a
/// client that is gone without a word must not hold the process for as long as streams may.
const CLOSING: Duration = Duration::from_secs(3);

impl Drop for Running {
    fn drop(&mut self) {
        self.house.drain();
        self.tasks.iter().for_each(JoinHandle::abort);
        self.house.metrics.book.close();
    }
}

/// Whether a contract may be put into force.
fn proved(snapshot: &Snapshot, proving: Proving) -> Result<(), StartFault> {
    if proving == Proving::Skipped {
        return Ok(());
    }
    match proof::findings(&snapshot.policy) {
        Some(findings) if proving == Proving::Required => Err(StartFault::Unproved(findings)),
        Some(findings) => {
            tracing::warn!(
                "the contract is put into force without being proved, as was asked for\n{findings}"
            );
            Ok(())
        }
        None => Ok(()),
    }
}

/// The key of all digests, if the configuration has one.
fn keys(config: &Config, secrets: &Secrets) -> Result<Option<Keys>, StartFault> {
    match &config.sessions.key {
        Some(reference) => {
            let secret = secrets.read(reference).map_err(StartFault::Key)?;
            if secret.len() < 32 {
                let what = "is shorter than 32 bytes".to_owned();
                return Err(StartFault::Key(SecretFault { reference: reference.clone(), what }));
            }
            Ok(Some(Keys::derive(secret.as_bytes())))
        }
        None => Ok(None),
    }
}

fn in_force(house: &House, before: Option<&Snapshot>) {
    let snapshot = house.snapshot.load();
    house.metrics.book.in_force(Arc::clone(&snapshot.charges));
    if let Some(before) = before {
        house.metrics.config(&before.hash, false);
    }
    house.metrics.config(&snapshot.hash, true);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    house.metrics.loaded_at.set(seconds);
}

/// Sockets, the pin store, the session key, the log and the ledger are made once.
fn unchanged(before: &Config, after: &Config) -> Result<(), StartFault> {
    let sockets = |config: &Config| -> Vec<_> {
        config
            .listeners
            .iter()
            .map(|listener| {
                (listener.name.clone(), listener.bind, std::mem::discriminant(&listener.protocol))
            })
            .collect()
    };
    let admin = |config: &Config| config.admin.as_ref().map(|admin| admin.bind);
    if sockets(before) != sockets(after) || admin(before) != admin(after) {
        return Err(StartFault::Restart("listeners and admin"));
    }
    if !before.sessions.pins.is_the_store_of(&after.sessions.pins) {
        return Err(StartFault::Restart("sessions.pins"));
    }
    if before.sessions.key != after.sessions.key {
        return Err(StartFault::Restart("sessions.key"));
    }
    if before.meter.path != after.meter.path {
        return Err(StartFault::Restart("meter.path"));
    }
    if before.ledger != after.ledger {
        return Err(StartFault::Restart("ledger"));
    }
    if before.telemetry.access_log != after.telemetry.access_log {
        return Err(StartFault::Restart("telemetry.access_log"));
    }
    Ok(())
}

/// Opens the ledger, where there is one.
fn ledger(
    config: &Config,
    hash: &str,
    secrets: &Secrets,
    metrics: &Metrics,
) -> Result<Option<Ledger>, StartFault> {
    let Some(said) = &config.ledger else { return Ok(None) };
    let key =
        ledger::key::key(&said.path, &said.origin, said.key.as_ref(), secrets).map_err(StartFault::Ledger)?;
    let verifier = key.verifier().clone();
    let opened = Ledger::open(&said.path, key, said.durability, hash, metrics.ledger.clone());
    let (ledger, recovered) = opened.map_err(|fault| StartFault::Ledger(fault.to_string()))?;
    tracing::info!(key = %verifier, entries = recovered.size, "ledger");
    if recovered.torn > 0 {
        tracing::warn!(bytes = recovered.torn, "the ledger's last record was torn, and was cut off");
    }
    Ok(Some(ledger))
}

fn listen(name: &str, address: SocketAddr) -> Result<TcpListener, StartFault> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for connections of the process before it.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error| StartFault::Bind(name.to_owned(), address, error))
}

/// Idle HTTP/2 connections to endpoints; each carries a hundred streams.
const H2_IDLE_MAX: usize = 128;

/// One worker thread for each core that we may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Reads a configuration's file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, StartFault> {
    std::fs::read_to_string(path).map_err(|error| StartFault::File(path.to_owned(), error))
}
