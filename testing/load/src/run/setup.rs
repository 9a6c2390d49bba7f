//! How long the set-up of a call takes, and what a call that is up costs.

use super::carrier::Carrier;
use super::leg::{Leg, Voice};
use super::phone::{Door, Phone};
use super::platform::{self, CALLS_KEPT, Platform, Wish};
use super::{LoadError, figures};
use crate::Login;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it is looked whether something has happened at the carrier.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Longest wait for that.
const PATIENCE: Duration = Duration::from_secs(20);
/// Users of the measurement of invites; each has a call at a time.
const CALLERS: usize = 100;
/// How long calls ring: long enough for ICE and DTLS.
const RING: Duration = Duration::from_millis(1_000);
/// How long the calls of the memory measurement stay up before it is read.
const SETTLE: Duration = Duration::from_secs(15);

/// A platform whose numbers lead to `carrier`, with `users` users that log in by token.
pub(crate) async fn platform(
    offhook: &Path,
    carrier: &Carrier,
    users: usize,
    calls_kept: usize,
) -> Result<(Platform, Door), LoadError> {
    let wish = Wish {
        users,
        per_user: 1,
        login: Login::Token,
        tls: false,
        carrier: carrier.address,
        calls_kept,
    };
    let platform = Platform::start(offhook, &wish).await?;
    let door = Door {
        address: platform.clients,
        tls: platform.connector()?,
        protocol: None,
    };
    Ok((platform, door))
}

/// From a client's invite to the INVITE at the carrier, at a rate.
pub(crate) async fn invite(offhook: &Path, rate: u32, time: Duration) -> Result<(), LoadError> {
    let carrier = std::sync::Arc::new(Carrier::start(Duration::from_millis(100)).await?);
    let (platform, door) = platform(offhook, &carrier, CALLERS, CALLS_KEPT).await?;
    let offer = Leg::new(Voice::Pcmu).await?.offer();
    let mut free = Vec::new();
    for user in 0..CALLERS {
        free.push(Phone::log_in(&door, platform.credentials(user)?, true).await?);
    }
    let cpu_before = figures::cpu_time(platform.pid());
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    let end = Instant::now() + time;
    let (mut calls, mut times, mut number) = (JoinSet::new(), Vec::new(), 0_u64);
    while Instant::now() < end {
        pace.tick().await;
        while let Some(done) = calls.try_join_next() {
            let (phone, took) = finished(done)?;
            times.push(took);
            free.push(phone);
        }
        let Some(phone) = free.pop() else {
            return Err(LoadError::Unexpected(
                "all callers are busy: calls take too long".to_owned(),
            ));
        };
        number += 1;
        let dialled = format!("7{number:08}");
        calls.spawn(one_call(phone, carrier.clone(), dialled, offer.clone()));
    }
    while let Some(done) = calls.join_next().await {
        times.push(finished(done)?.1);
    }
    let cpu = figures::cpu_time(platform.pid()) - cpu_before;
    println!(
        "invite rate={rate} {} cpu_ms_per_call={:.2} machine_load={}",
        figures::summary(times),
        cpu.as_secs_f64() * 1e3 / number as f64,
        figures::machine_load()
    );
    platform.stop().await
}

type Finished = Result<Result<(Phone, Duration), LoadError>, tokio::task::JoinError>;

fn finished(done: Finished) -> Result<(Phone, Duration), LoadError> {
    done.map_err(|error| LoadError::Unexpected(format!("a call broke: {error}")))?
}

/// A call that is answered and hung up at once. Gives what the INVITE took.
async fn one_call(
    mut phone: Phone,
    carrier: std::sync::Arc<Carrier>,
    number: String,
    offer: String,
) -> Result<(Phone, Duration), LoadError> {
    let start = Instant::now();
    phone.dial(&number, &number, &offer).await?;
    phone.expect("answer").await?;
    let hung_up = json!({"cause": "NORMAL_CLEARING", "causeCode": 16});
    phone.ask_about(&number, "bye", hung_up).await?;
    phone.forget();
    let facts = carrier.facts(&number);
    carrier.forget(&number);
    let invited = facts
        .invited
        .ok_or_else(|| LoadError::Unexpected("an answered call without INVITE".to_owned()))?;
    Ok((phone, invited.duration_since(start)))
}

/// From the carrier's 200 OK to the first audio packet at the browser.
pub(crate) async fn answer(offhook: &Path, calls: usize, early: bool) -> Result<(), LoadError> {
    let carrier = Carrier::start(RING).await?;
    let (platform, door) = platform(offhook, &carrier, 1, CALLS_KEPT).await?;
    let mut phone = Phone::log_in(&door, platform.credentials(0)?, early).await?;
    let mut times = Vec::new();
    for call in 0..calls {
        let number = format!("8{call:08}");
        let leg = Leg::new(Voice::Pcmu).await?;
        phone.dial(&number, &number, &leg.offer()).await?;
        let message = if early { "media" } else { "answer" };
        let told = phone.expect(message).await?;
        leg.take(told["sdp"].as_str().unwrap_or_default()).await?;
        until("audio at the browser", || leg.heard.first().is_some()).await?;
        phone.idle(Duration::from_millis(50)).await?;
        let answered = carrier.facts(&number).answered;
        if let (Some(first), Some(answered)) = (leg.heard.first(), answered) {
            times.push(first.saturating_duration_since(answered));
        }
        phone
            .ask_about(
                &number,
                "bye",
                json!({"cause": "NORMAL_CLEARING", "causeCode": 16}),
            )
            .await?;
        phone.forget();
        carrier.forget(&number);
    }
    println!(
        "answer early={early} {} machine_load={}",
        figures::summary(times),
        figures::machine_load()
    );
    platform.stop().await
}

/// Memory of calls that are up, with media both ways, over all roles.
pub(crate) async fn memory_per_call(offhook: &Path, calls: usize, opus: bool) -> Result<(), LoadError> {
    let carrier = Carrier::start(Duration::from_millis(100)).await?;
    let (platform, door) = platform(offhook, &carrier, calls, CALLS_KEPT).await?;
    let voice = if opus { Voice::Opus } else { Voice::Pcmu };
    let mut phones = Vec::new();
    for user in 0..calls {
        phones.push(Phone::log_in(&door, platform.credentials(user)?, true).await?);
    }
    let before = figures::memory_kib(platform.pid())?;
    let mut legs = Vec::new();
    for (call, phone) in phones.iter_mut().enumerate() {
        let number = format!("6{call:08}");
        let leg = Leg::new(voice).await?;
        phone.dial(&number, &number, &leg.offer()).await?;
        let told = phone.expect("media").await?;
        leg.take(told["sdp"].as_str().unwrap_or_default()).await?;
        phone.expect("answer").await?;
        legs.push((number, leg));
    }
    tokio::time::sleep(SETTLE).await;
    let after = figures::memory_kib(platform.pid())?;
    let silent = legs
        .iter()
        .filter(|(number, leg)| leg.heard.packets() == 0 || carrier.facts(number).packets == 0)
        .count();
    println!(
        "calls calls={calls} opus={opus} silent={silent} before_kib={before} after_kib={after} kib_per_call={:.1} {}",
        (after as f64 - before as f64) / calls as f64,
        platform::vital_signs(platform.pid())?
    );
    if silent > 0 {
        return Err(LoadError::Unexpected(format!("{silent} calls heard nothing")));
    }
    platform.stop().await
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), LoadError> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            return Err(LoadError::Missing {
                what: what.to_owned(),
                wait: PATIENCE,
            });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}
