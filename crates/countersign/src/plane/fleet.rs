//! The gateway of this process, as the control plane sees it.

use super::handover::Predecessor;
use countersign_core::id::RefusalId;
use countersign_core::receipt::Applied;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::Timestamp;
use countersign_gateway::Gateway;
use countersign_proto::convert;
use countersign_proto::rest::{GatewayBody, RefusalBody};
use countersign_server::{Gateways, Usage};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The gateway of this process and, after a restart, what is left of the preceding process's.
pub struct LocalGateway {
    gateway: RwLock<Option<Arc<Gateway>>>,
    name: String,
    stopping: AtomicBool,
    predecessor: RwLock<Option<Arc<Predecessor>>>,
}

impl LocalGateway {
    /// Over a running gateway.
    pub fn new(gateway: Gateway, name: String) -> Self {
        Self { gateway: RwLock::new(Some(Arc::new(gateway))), name, stopping: AtomicBool::new(false), predecessor: RwLock::new(None) }
    }

    /// The gateway, while it runs.
    pub fn gateway(&self) -> Option<Arc<Gateway>> {
        self.gateway.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether new requests are taken.
    pub fn is_ready(&self) -> bool {
        self.gateway().is_some() && !self.stopping.load(Ordering::Relaxed)
    }

    /// From now on changes also count in the process that this one succeeds, for as long as requests are under way there.
    pub fn succeed(&self, predecessor: Arc<Predecessor>) {
        *self.predecessor.write().unwrap_or_else(PoisonError::into_inner) = Some(predecessor);
    }

    fn predecessor(&self) -> Option<Arc<Predecessor>> {
        let held = self.predecessor.read().unwrap_or_else(PoisonError::into_inner).clone();
        held.filter(|predecessor| predecessor.is_there())
    }

    /// Has this process's own gateway decide on a snapshot.
    pub async fn apply_own(&self, snapshot: Arc<Snapshot>) -> Option<Applied> {
        Some(self.gateway()?.apply(snapshot).await)
    }

    /// Notes that the process which follows this one lives.
    pub fn heard_from_successor(&self, at: Timestamp) {
        if let Some(gateway) = self.gateway() {
            gateway.heard(at);
        }
    }

    /// Ends whatever is under way.
    pub async fn terminate(&self) {
        if let Some(gateway) = self.gateway() {
            gateway.drain(Duration::ZERO, Duration::ZERO).await;
        }
    }

    /// Ends the gateway; see `Gateway::drain`. Until then snapshots still apply.
    pub async fn shutdown(&self, grace: Duration, linger: Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(gateway) = self.gateway() {
            gateway.drain(grace, linger).await;
        }
        let gateway = self.gateway.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut gateway) = gateway else { return };
        // A change that is being applied holds it for some milliseconds more.
        loop {
            match Arc::try_unwrap(gateway) {
                Ok(gateway) => return gateway.shutdown(Duration::ZERO).await,
                Err(shared) => gateway = shared,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl LocalGateway {
    fn stopping_name(&self) -> String {
        format!("{} (stopping)", self.name)
    }
}

impl Gateways for LocalGateway {
    fn apply(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Vec<Applied>> {
        Box::pin(async move {
            let revision = snapshot.revision();
            let before = self.predecessor().map(|predecessor| tokio::task::spawn_blocking(move || predecessor.apply(revision)));
            let mut applied: Vec<Applied> = self.apply_own(snapshot).await.into_iter().collect();
            if let Some(Ok(Some(before))) = match before {
                Some(before) => Some(before.await),
                None => None,
            } {
                applied.push(Applied { gateway: self.stopping_name(), ..before });
            }
            applied
        })
    }

    fn describe(&self) -> Vec<GatewayBody> {
        let Some(gateway) = self.gateway() else { return Vec::new() };
        let (connections, streams) = gateway.live();
        let address = gateway.local_addr().to_string();
        let own =
            GatewayBody { name: self.name.clone(), address, revision: gateway.revision(), connections, streams, ..GatewayBody::default() };
        // What it stands at is known only from its answer.
        let before =
            self.predecessor().map(|_| GatewayBody { name: self.stopping_name(), address: own.address.clone(), ..GatewayBody::default() });
        std::iter::once(own).chain(before).collect()
    }

    fn refusal(&self, id: &str) -> Option<RefusalBody> {
        let gateway = self.gateway()?;
        let refusal = gateway.refusals().get(&RefusalId::parse(id).ok()?)?;
        Some(RefusalBody {
            id: refusal.id.to_string(),
            // To the microsecond: it is compared with the moment at which the namespace was made.
            time: convert::exact_time(refusal.at),
            gateway: self.name.clone(),
            code: refusal.code.to_string(),
            reason: refusal.reason.clone(),
            remedy: refusal.remedy.clone(),
            namespace: refusal.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            method: refusal.method.clone(),
            path: refusal.path.clone(),
            source: refusal.source.to_string(),
        })
    }

    fn drain_usage(&self) -> Vec<Usage> {
        self.gateway()
            .map(|g| {
                g.drain_usage()
                    .into_iter()
                    .map(|u| Usage {
                        credential: u.credential,
                        kind: u.kind.to_owned(),
                        count: u.count,
                        last_used: u.last_used,
                        last_source: u.last_ip.to_string(),
                    })
                    .collect()
            })
            .unwrap_or_default()
    }

    fn heard(&self, at: Timestamp) {
        if let Some(gateway) = self.gateway() {
            gateway.heard(at);
        }
        if let Some(predecessor) = self.predecessor() {
            // May wait for the other process for a moment.
            drop(tokio::task::spawn_blocking(move || predecessor.heard(at)));
        }
    }
}
