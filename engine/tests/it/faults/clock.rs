//! The system clock jumps by an hour, back and forth: tokens, offsets and sessions do not care.

use std::{fs, process::Command, time::Duration};

use super::{
    lasting,
    oracle::{clean, judge},
    seed::Dice,
    stage::Stage,
};
use crate::e2e::SERVERS;

/// Put before the C library's own: the wall clock plus what a file says; the clock that never jumps stays as it is. The kernel knows nothing of it,
/// so librdkafka's waits until a moment of the shifted clock become waits until that moment of the kernel's.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    char text[32] = {0};
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return 0;
    long got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, out);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += shift();
    return code;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int code = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return code;
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict until) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "cnd_timedwait");
    struct timespec moment = *until, now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    long seconds = until->tv_sec - shift() - now.tv_sec;
    /* The clock may have jumped since the moment was chosen: the wait ends early then, and who waits looks at the steady clock. */
    moment.tv_sec = now.tv_sec + (seconds > 10 ? 10 : seconds);
    return real(cond, mutex, &moment);
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"#;

#[test]
fn f19_the_clock_jumps_by_an_hour() {
    let mut dice = Dice::of("f19");
    let stage = Stage::new("f19", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 4);
    let setup = stage.plain();
    stage.configure(&setup);
    let (source, library) = (stage.dir.join("clock.c"), stage.dir.join("clock.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(built.success());
    let shift = stage.dir.join("shift");
    fs::write(&shift, "0").unwrap();
    let variables =
        [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_SHIFT", shift.to_str().unwrap())];
    let mut engines = [stage.engine_with("first", &variables), stage.engine("second")];
    let mut feed = stage.feed();
    let mut jumps = 0;
    let time = lasting(Duration::from_secs(9));
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {
        feed.run(4_000, dice.millis(500..1_500), |_| {});
        let seconds = dice.pick(&[-3_600, 0, 3_600]);
        stage.write("shift", &i64::to_string(&seconds));
        jumps += 1;
    }
    let events = feed.flush();
    stage.settle(events, 60);
    // The engine really lived in another hour: its log says so.
    stage.write("shift", "360000");
    let far = engines[0].terminate();
    assert!(far.success(), "{}", engines[0].log());
    let last = engines[0].log();
    let last = last.lines().last().unwrap_or_default().to_owned();
    clean(&engines[1], setup.memory);
    assert!(engines[1].terminate().success(), "{}", engines[1].log());
    let verdict = judge(&stage, events);
    eprintln!("f19: {jumps} jumps; {verdict:?}; the last line of its log: {last}");
    verdict.holds(setup.promise);
}
