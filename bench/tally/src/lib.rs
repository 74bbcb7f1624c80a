//! How operators tell the stopwatch what they have done.

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Microseconds of Unix time.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_micros() as u64
}

static CALLS: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(0);
static DELAYS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// A handler has begun; `at` is when its object was written.
pub fn called(at: Option<u64>) {
    let now = now();
    CALLS.fetch_add(1, Relaxed);
    LAST.store(now, Relaxed);
    if let Some(at) = at {
        DELAYS.lock().expect("nobody panics").push(now.saturating_sub(at));
    }
}

/// Writes into the file of `$BENCH_TALLY`, four times a second: the number of calls, the moment of the last, the delays.
pub fn report() {
    let Some(path) = std::env::var_os("BENCH_TALLY") else { return };
    std::thread::spawn(move || {
        let mut told = u64::MAX;
        loop {
            let calls = CALLS.load(Relaxed);
            if std::mem::replace(&mut told, calls) != calls {
                let mut text = format!("{calls} {}", LAST.load(Relaxed));
                for delay in DELAYS.lock().expect("nobody panics").iter() {
                    write!(text, " {delay}").expect("a string takes all");
                }
                let unfinished = std::path::Path::new(&path).with_extension("new");
                drop(std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, &path)));
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    });
}
