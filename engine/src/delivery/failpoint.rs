//! Places at which a test may stop or end the engine: one for each crash that recovery must survive.
//!
//! Invariant: without an order for it a place costs one load of a flag, and nothing here runs.

use std::{
    str::FromStr,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A place in the way of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The bundle is about to be saved; no intent names it yet.
    BundleSaving,
    /// A range is built, its intent is not sent.
    RangeBuilt,
    /// An intent was handed to the client, its outcome is not known.
    IntentSent,
    /// An intent is stored, nothing of its range was sent.
    IntentStored,
    /// An insert was begun; its answer is not there.
    InsertSent,
    /// An insert's answer came and nobody has noted it.
    InsertStored,
    /// A unit is done, others of its range may not be.
    UnitDone,
    /// All units of a range are done, the next intent is not stored.
    RangeDone,
    /// The commit that ends a range without naming another one was handed to the client.
    FinishSent,
    /// A partition is being taken away.
    Revoking,
    /// A range is about to be recovered.
    Recovering,
    /// A probe says that a unit is not there; its insert is not sent.
    ProbedAbsent,
    /// New rules were published.
    Reloaded,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 13] = [
        Self::BundleSaving,
        Self::RangeBuilt,
        Self::IntentSent,
        Self::IntentStored,
        Self::InsertSent,
        Self::InsertStored,
        Self::UnitDone,
        Self::RangeDone,
        Self::FinishSent,
        Self::Revoking,
        Self::Recovering,
        Self::ProbedAbsent,
        Self::Reloaded,
    ];

    /// How an order names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BundleSaving => "bundle-saving",
            Self::RangeBuilt => "range-built",
            Self::IntentSent => "intent-sent",
            Self::IntentStored => "intent-stored",
            Self::InsertSent => "insert-sent",
            Self::InsertStored => "insert-stored",
            Self::UnitDone => "unit-done",
            Self::RangeDone => "range-done",
            Self::FinishSent => "finish-sent",
            Self::Revoking => "revoking",
            Self::Recovering => "recovering",
            Self::ProbedAbsent => "probed-absent",
            Self::Reloaded => "reloaded",
        }
    }
}

/// What happens at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The process ends at once, as by SIGKILL.
    Abort,
    /// The process stops until somebody sends SIGCONT.
    Stop,
    /// The thread waits so long.
    Wait(Duration),
}

/// `PLACE=abort`, `PLACE=stop` or `PLACE=wait(MILLISECONDS)`, each with `@N` behind it for the N-th visit instead of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    place: Place,
    action: Action,
    /// Visits until it happens.
    left: u32,
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no order like `intent-sent=abort@2`");
        let (place, action) = text.split_once('=').ok_or_else(wrong)?;
        let place = Place::ALL.into_iter().find(|one| one.name() == place).ok_or_else(|| {
            let names = Place::ALL.map(Place::name).join(", ");
            format!("there is no place `{place}`; there are {names}")
        })?;
        let (action, left) = match action.split_once('@') {
            Some((action, left)) => (action, left.parse().map_err(|_| wrong())?),
            None => (action, 1),
        };
        let action = match action {
            "abort" => Action::Abort,
            "stop" => Action::Stop,
            action => {
                let wait = action.strip_prefix("wait(").and_then(|rest| rest.strip_suffix(')'));
                let ms = wait.and_then(|ms| ms.parse().ok()).ok_or_else(wrong)?;
                Action::Wait(Duration::from_millis(ms))
            }
        };
        Ok(Self { place, action, left })
    }
}

static ARMED: AtomicBool = AtomicBool::new(false);
static ORDERS: OnceLock<Mutex<Vec<Order>>> = OnceLock::new();

/// Takes orders for this process, separated by `;`.
pub fn arm(orders: &str) -> Result<(), String> {
    let orders: Vec<Order> =
        orders.split(';').map(str::trim).map(str::parse).collect::<Result<_, _>>()?;
    let all = ORDERS.get_or_init(Mutex::default);
    all.lock().map_err(|_| "the orders are gone".to_owned())?.extend(orders);
    ARMED.store(true, Ordering::Release);
    Ok(())
}

/// Does what an order says about the place, if there is one.
#[inline]
pub fn pass(place: Place) {
    if ARMED.load(Ordering::Acquire) {
        visit(place);
    }
}

#[cold]
fn visit(place: Place) {
    let Some(action) = due(place) else { return };
    tracing::warn!(place = place.name(), ?action, "a test ordered this");
    match action {
        Action::Abort => std::process::abort(),
        Action::Wait(time) => std::thread::sleep(time),
        // Another process sends it, since this one has no safe call for it.
        Action::Stop => {
            let pid = std::process::id().to_string();
            let _sent = std::process::Command::new("kill").args(["-STOP", &pid]).status();
        }
    }
}

fn due(place: Place) -> Option<Action> {
    let mut orders = ORDERS.get()?.lock().ok()?;
    let at = orders.iter().position(|order| order.place == place)?;
    orders[at].left = orders[at].left.saturating_sub(1);
    (orders[at].left == 0).then(|| orders.remove(at).action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = |text: &str| text.parse::<Order>();
        let abort = Order { place: Place::IntentSent, action: Action::Abort, left: 2 };
        assert_eq!(order("intent-sent=abort@2"), Ok(abort));
        let wait = Action::Wait(Duration::from_millis(50));
        assert_eq!(
            order("revoking=wait(50)"),
            Ok(Order { place: Place::Revoking, action: wait, left: 1 })
        );
        for wrong in ["", "intent-sent", "intent-sent=jump", "nowhere=abort", "revoking=wait(x)"] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
        for place in Place::ALL {
            assert_eq!(
                order(&format!("{}=stop", place.name())).map(|order| order.place),
                Ok(place)
            );
        }
    }
}
