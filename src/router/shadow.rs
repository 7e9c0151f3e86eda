//! Shadow mode: the candidate answers too; nobody sees it, and differences are counted.

use std::sync::Arc;

use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::Bytes;
use tokio::sync::oneshot;

use super::asked::Asked;
use super::counters::Served;
use super::live::{Live, LiveArm};
use super::proxy::forward;
use super::state::State;
use super::tap::BODY_BYTES_MAX;
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::capability::monitoring::ArmRole;

/// Sends a copy to the candidate. What the stable version answers is to be sent where this says.
pub fn begin(state: &Arc<State>, live: &Arc<Live>, arm: &LiveArm, asked: Box<Asked>) -> oneshot::Sender<Bytes> {
    let (other, stable) = oneshot::channel();
    tokio::spawn(shadowed(state.clone(), live.clone(), arm.clone(), asked, stable));
    other
}

async fn shadowed(
    state: Arc<State>,
    live: Arc<Live>,
    arm: LiveArm,
    mut asked: Box<Asked>,
    stable: oneshot::Receiver<Bytes>,
) {
    let came = asked.came;
    let watch = Stopwatch::start();
    let sent = forward(&state, &arm, &live.route.limits, &mut asked).await;
    let ms = watch.elapsed().as_secs_f64() * 1e3;
    let (failed, body) = match sent {
        Ok((response, upstream, connection)) => {
            let failed = response.status().is_server_error();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.ok();
            if body.is_some() {
                upstream.pool.give_back(connection);
            }
            (failed, body.map(Collected::to_bytes))
        }
        Err(_) => (true, None),
    };
    let other = stable.await.ok();
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let differs = match (&body, &other) {
        (Some(a), Some(b)) => a != b && (json(a).is_none() || json(a) != json(b)),
        _ => false,
    };
    state.counters.count(&Served {
        service: &live.service,
        version: arm.version,
        arm: ArmRole::Shadow,
        weight: 0,
        came,
        answered: SystemClock.now(),
        failed,
        latency_ms: body.is_some().then_some(ms),
        differs,
    });
}
