//! The gateway of this process, as the control plane sees it.

use countersign_core::id::RefusalId;
use countersign_core::receipt::Applied;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::Timestamp;
use countersign_gateway::Gateway;
use countersign_proto::convert;
use countersign_proto::rest::{GatewayBody, RefusalBody};
use countersign_server::{Gateways, Usage};
use futures_util::future::BoxFuture;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// See the module.
pub struct LocalGateway {
    gateway: RwLock<Option<Arc<Gateway>>>,
    name: String,
}

impl LocalGateway {
    /// Over a running gateway.
    pub fn new(gateway: Gateway, name: String) -> Self {
        Self { gateway: RwLock::new(Some(Arc::new(gateway))), name }
    }

    /// The gateway, while it runs.
    pub fn gateway(&self) -> Option<Arc<Gateway>> {
        self.gateway.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the gateway; see `Gateway::shutdown`.
    pub async fn shutdown(&self, grace: Duration) {
        let gateway = self.gateway.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut gateway) = gateway else { return };
        // A change that is being applied holds it for some milliseconds more.
        loop {
            match Arc::try_unwrap(gateway) {
                Ok(gateway) => return gateway.shutdown(grace).await,
                Err(shared) => gateway = shared,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Gateways for LocalGateway {
    fn apply(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Vec<Applied>> {
        Box::pin(async move {
            match self.gateway() {
                Some(gateway) => vec![gateway.apply(snapshot).await],
                None => Vec::new(),
            }
        })
    }

    fn describe(&self) -> Vec<GatewayBody> {
        self.gateway()
            .map(|g| {
                let (connections, streams) = g.live();
                vec![GatewayBody {
                    name: self.name.clone(),
                    address: g.local_addr().to_string(),
                    revision: g.revision(),
                    connections,
                    streams,
                }]
            })
            .unwrap_or_default()
    }

    fn refusal(&self, id: &str) -> Option<RefusalBody> {
        let gateway = self.gateway()?;
        let refusal = gateway.refusals().get(&RefusalId::parse(id).ok()?)?;
        Some(RefusalBody {
            id: refusal.id.to_string(),
            time: convert::time(refusal.at),
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
    }
}
