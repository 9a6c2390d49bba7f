//! Which sites stand: a state for each, moved by the results of health checks, on a virtual clock.
//!
//! ```text
//!            ready                 `failures` in a row
//! Unknown ─────────► Healthy ───────────────────────────► Unhealthy
//!    │ failed           ▲ │ says that it drains               ▲ │
//!    └──────────────────┼─┼───────────────────────────────────┘ │
//!                       │ └─────► Draining ──(not draining any more: counts as Unhealthy)
//!                       └───────────────── `successes` in a row ┘
//! ```
//!
//! A single failure is a lost packet; several are an outage. A site that says itself that it drains is believed at once. The
//! first check decides alone, for there is nothing yet that it could contradict.

use std::{
    collections::VecDeque,
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Most sites. They are asked side by side.
pub const SITES_MAX: usize = 256;

/// A site, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u16);

/// What is known of a site from the configuration.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name, such as `NJ1`.
    pub name: String,
    /// Its addresses, of either family.
    pub addresses: Vec<IpAddr>,
    /// Its share among the sites of a region, against the others' weights. At least 1.
    pub weight: u32,
    /// Whether the operator has taken it out.
    pub is_drained: bool,
    /// Whether it is checked; what is not counts as healthy.
    pub is_checked: bool,
}

/// When a site is asked, and how often in a row it has to say so before it is believed.
#[derive(Debug, Clone, Copy)]
pub struct HealthSettings {
    /// From the beginning of one check to the next.
    pub interval: Duration,
    /// Failures in a row that take a site out. At least 1.
    pub failures: u32,
    /// Successes in a row that bring it back. At least 1.
    pub successes: u32,
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It serves.
    Ready,
    /// It serves those that it has, and wants no more.
    Draining,
    /// It does not serve.
    Failed(CheckFailure),
}

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    /// No whole answer in time.
    Timeout,
    /// No connection, or one that broke.
    Unreachable,
    /// It answers, but not in HTTP.
    NotHttp,
    /// This status, other than 200.
    Status(u16),
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => write!(f, "no answer in time"),
            Self::Unreachable => write!(f, "cannot be reached"),
            Self::NotHttp => write!(f, "answers, but not in HTTP"),
            Self::Status(status) => write!(f, "answers with status {status}"),
        }
    }
}

/// Whether a site may be answered. The better comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It serves.
    Available,
    /// It fails its checks.
    Failing,
    /// It is being emptied, by the operator or by itself.
    Drained,
}

impl Standing {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Failing => "failing",
            Self::Drained => "drained",
        }
    }
}

/// What the owner has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Ask the site, and come back with [`Fleet::handle_check`].
    Check(SiteId),
    /// A site stands otherwise than before.
    Changed {
        /// Which.
        site: SiteId,
        /// How it stands now.
        standing: Standing,
        /// The check that made the difference; none if it was the operator.
        check: Option<Check>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Health {
    Unknown,
    Healthy { failures: u32 },
    Draining,
    Unhealthy { successes: u32 },
}

#[derive(Debug)]
struct Member {
    site: Site,
    health: Health,
    /// When the next check is due; none while one is under way, and for sites that are not checked.
    due: Option<Instant>,
    /// When the check under way began.
    asked: Option<Instant>,
}

impl Member {
    fn standing(&self) -> Standing {
        match self.health {
            _ if self.site.is_drained => Standing::Drained,
            Health::Draining => Standing::Drained,
            Health::Unhealthy { .. } => Standing::Failing,
            // What has not been asked yet gets the benefit of the doubt; the shell asks before it serves.
            Health::Unknown | Health::Healthy { .. } => Standing::Available,
        }
    }
}

/// All sites.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    settings: HealthSettings,
    outputs: VecDeque<Output>,
}

impl Fleet {
    /// All sites unknown, the first checks due at `now`.
    pub fn new(sites: Vec<Site>, settings: HealthSettings, now: Instant) -> Self {
        let members = sites.into_iter().take(SITES_MAX).map(|site| Member {
            health: Health::Unknown,
            due: site.is_checked.then_some(now),
            asked: None,
            site,
        });
        Self {
            members: members.collect(),
            settings,
            outputs: VecDeque::new(),
        }
    }

    /// The site; none if there is no such.
    pub fn site(&self, id: SiteId) -> Option<&Site> {
        self.members.get(usize::from(id.0)).map(|member| &member.site)
    }

    /// All sites with how they stand.
    pub fn sites(&self) -> impl Iterator<Item = (SiteId, &Site, Standing)> {
        let members = (0_u16..).zip(&self.members);
        members.map(|(at, member)| (SiteId(at), &member.site, member.standing()))
    }

    /// How a site stands; one that there is not is drained.
    pub fn standing(&self, id: SiteId) -> Standing {
        let member = self.members.get(usize::from(id.0));
        member.map_or(Standing::Drained, Member::standing)
    }

    /// True until every site that is checked has been asked once.
    pub fn is_warming_up(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.site.is_checked && matches!(member.health, Health::Unknown))
    }

    /// When [`Self::handle_timeout`] is due; none while all checks are under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.due).min()
    }

    /// Has those asked that are due. Of each site there is one check under way at most.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (at, member) in (0_u16..).zip(&mut self.members) {
            if member.due.is_some_and(|due| due <= now) {
                member.due = None;
                member.asked = Some(now);
                self.outputs.push_back(Output::Check(SiteId(at)));
            }
        }
    }

    /// A check is over. One that nobody asked for is passed over.
    pub fn handle_check(&mut self, now: Instant, id: SiteId, check: Check) {
        let settings = self.settings;
        let Some(member) = self.members.get_mut(usize::from(id.0)) else {
            return;
        };
        let Some(asked) = member.asked.take() else { return };
        member.due = Some((asked + settings.interval).max(now));
        let before = member.standing();
        member.health = next(member.health, check, settings);
        let standing = member.standing();
        if standing != before {
            self.outputs.push_back(Output::Changed {
                site: id,
                standing,
                check: Some(check),
            });
        }
    }

    /// The operator takes a site out, or back in.
    pub fn set_drained(&mut self, id: SiteId, is_drained: bool) {
        let Some(member) = self.members.get_mut(usize::from(id.0)) else {
            return;
        };
        let before = member.standing();
        member.site.is_drained = is_drained;
        let standing = member.standing();
        if standing != before {
            self.outputs.push_back(Output::Changed {
                site: id,
                standing,
                check: None,
            });
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// The only place where a site's health changes.
fn next(health: Health, check: Check, settings: HealthSettings) -> Health {
    match (health, check) {
        (_, Check::Draining) => Health::Draining,
        (Health::Unknown | Health::Healthy { .. }, Check::Ready) => Health::Healthy { failures: 0 },
        (Health::Unknown | Health::Draining, Check::Failed(_)) => Health::Unhealthy { successes: 0 },
        (Health::Healthy { failures }, Check::Failed(_)) if failures + 1 >= settings.failures => {
            Health::Unhealthy { successes: 0 }
        }
        (Health::Healthy { failures }, Check::Failed(_)) => Health::Healthy {
            failures: failures + 1,
        },
        (Health::Unhealthy { .. }, Check::Failed(_)) => Health::Unhealthy { successes: 0 },
        (Health::Draining | Health::Unhealthy { .. }, Check::Ready) => {
            let successes = match health {
                Health::Unhealthy { successes } => successes + 1,
                _ => 1,
            };
            match successes >= settings.successes {
                true => Health::Healthy { failures: 0 },
                false => Health::Unhealthy { successes },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Check = Check::Failed(CheckFailure::Timeout);
    const A: SiteId = SiteId(0);
    const INTERVAL: Duration = Duration::from_secs(5);

    fn site(name: &str) -> Site {
        Site {
            name: name.to_owned(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            weight: 1,
            is_drained: false,
            is_checked: true,
        }
    }

    fn fleet(sites: Vec<Site>, now: Instant) -> Fleet {
        let settings = HealthSettings {
            interval: INTERVAL,
            failures: 3,
            successes: 2,
        };
        Fleet::new(sites, settings, now)
    }

    /// Plays checks of site A, each in its turn; how it stands after each.
    fn play(checks: &[Check]) -> Vec<Standing> {
        let mut now = Instant::now();
        let mut fleet = fleet(vec![site("A")], now);
        let mut stands = Vec::new();
        for check in checks {
            fleet.handle_timeout(now);
            fleet.handle_check(now, A, *check);
            stands.push(fleet.standing(A));
            now = fleet.poll_timeout().unwrap();
        }
        stands
    }

    #[test]
    fn so_many_failures_in_a_row_take_a_site_out_and_so_many_successes_bring_it_back() {
        use Check::Ready;
        use Standing::{Available, Failing};
        assert_eq!(
            play(&[
                Ready, FAILED, FAILED, Ready, FAILED, FAILED, FAILED, Ready, FAILED, Ready, Ready
            ]),
            [
                Available, Available, Available, Available, Available, Available, Failing, Failing, Failing,
                Failing, Available
            ]
        );
    }

    #[test]
    fn the_first_check_decides_alone() {
        assert_eq!(play(&[FAILED]), [Standing::Failing]);
        assert_eq!(play(&[Check::Ready]), [Standing::Available]);
        assert_eq!(play(&[Check::Draining]), [Standing::Drained]);
    }

    #[test]
    fn a_site_that_says_that_it_drains_is_believed_at_once() {
        use Check::{Draining, Ready};
        use Standing::{Available, Drained, Failing};
        assert_eq!(
            play(&[Ready, Draining, FAILED, Ready, Ready]),
            [Available, Drained, Failing, Failing, Available]
        );
        assert_eq!(
            play(&[Draining, Ready, Ready]),
            [Drained, Failing, Available],
            "it may come back"
        );
    }

    #[test]
    fn checks_come_at_their_interval_and_never_two_at_once() {
        let start = Instant::now();
        let mut fleet = fleet(vec![site("A"), site("B")], start);
        assert!(fleet.is_warming_up());
        fleet.handle_timeout(start);
        assert_eq!(fleet.poll_output(), Some(Output::Check(A)));
        assert_eq!(fleet.poll_output(), Some(Output::Check(SiteId(1))));
        assert_eq!(fleet.poll_timeout(), None, "both are under way");
        fleet.handle_timeout(start + 10 * INTERVAL);
        assert_eq!(fleet.poll_output(), None);

        fleet.handle_check(start + Duration::from_secs(1), A, Check::Ready);
        assert_eq!(
            fleet.poll_timeout(),
            Some(start + INTERVAL),
            "counted from its beginning"
        );
        assert!(fleet.is_warming_up(), "B has not been heard of");
        let late = start + 2 * INTERVAL;
        fleet.handle_check(late, SiteId(1), Check::Ready);
        assert!(!fleet.is_warming_up());
        fleet.handle_timeout(start + INTERVAL);
        assert_eq!(fleet.poll_output(), Some(Output::Check(A)));
        assert_eq!(
            fleet.poll_timeout(),
            Some(late),
            "a slow one is asked again at once"
        );

        fleet.handle_check(late, SiteId(1), FAILED);
        assert_eq!(fleet.standing(SiteId(1)), Standing::Available, "nobody had asked");
        fleet.handle_check(late, SiteId(9), FAILED);
    }

    #[test]
    fn a_change_is_told_once_with_its_reason() {
        let now = Instant::now();
        let mut fleet = fleet(vec![site("A")], now);
        fleet.handle_timeout(now);
        assert_eq!(fleet.poll_output(), Some(Output::Check(A)));
        fleet.handle_check(now, A, FAILED);
        let changed = |standing, check| {
            Some(Output::Changed {
                site: A,
                standing,
                check,
            })
        };
        assert_eq!(fleet.poll_output(), changed(Standing::Failing, Some(FAILED)));
        fleet.handle_timeout(now + INTERVAL);
        assert_eq!(fleet.poll_output(), Some(Output::Check(A)));
        fleet.handle_check(now + INTERVAL, A, FAILED);
        assert_eq!(fleet.poll_output(), None, "it is what it was");
        fleet.set_drained(A, true);
        assert_eq!(fleet.poll_output(), changed(Standing::Drained, None));
        fleet.set_drained(A, true);
        assert_eq!(fleet.poll_output(), None);
        fleet.set_drained(A, false);
        assert_eq!(
            fleet.poll_output(),
            changed(Standing::Failing, None),
            "it fails still"
        );
    }

    #[test]
    fn what_is_not_checked_is_healthy() {
        let now = Instant::now();
        let unchecked = Site {
            is_checked: false,
            ..site("A")
        };
        let fleet = fleet(vec![unchecked], now);
        assert_eq!((fleet.poll_timeout(), fleet.is_warming_up()), (None, false));
        assert_eq!(fleet.standing(A), Standing::Available);
    }
}
