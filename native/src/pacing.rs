//! When a socket is to be left alone for a moment, so that the next look at it finds a batch.
//!
//! Waking up costs more than reading what came, and a server that sends many small pieces in a row
//! would have us wake for each. Network cards do the same with their interrupts. A stream at a speed
//! that anybody could want is never held up: its pieces are further apart.

use std::mem::take;
use std::time::{Duration, Instant};

/// How long it is left alone. The event loop's timers know nothing shorter.
pub const PAUSE: Duration = Duration::from_millis(1);
/// So many looks in a row are compared with the clock ...
const LOOKS: usize = 4;
/// ... and if they took no longer than this, what comes next comes quickly, too.
const QUICK: Duration = Duration::from_millis(1);
/// If they brought more than this together, the pieces are no small ones.
const SMALL: usize = 16 * 1024;
/// If one pause brings more than this, the next one would have the server wait for us.
const LARGE: usize = 128 * 1024;
/// So many looks there are before the first pause: who has asked something gets the beginning at once.
const FIRST: u32 = 8;
/// The same at most, doubled after each pause that was not worth it: the server may wait for our answer.
const LONGEST: u32 = 4096;

/// What one socket brought since something was last written to it.
pub struct Pacing {
    bytes: usize,
    recent: [Option<(Instant, usize)>; LOOKS],
    /// Looks until a pause may be due.
    wait: u32,
    patience: u32,
    /// What has to come in a pause that has begun, for it to be worth it.
    worth: Option<usize>,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            bytes: 0,
            recent: [None; LOOKS],
            wait: FIRST,
            patience: FIRST,
            worth: None,
        }
    }
}

impl Pacing {
    /// Something was written: what comes now is wanted at once.
    pub fn asked(&mut self) {
        *self = Self {
            wait: self.patience,
            patience: self.patience,
            ..Self::default()
        };
    }

    /// So much was read.
    pub fn read(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// There is no more to read: a look is over. Whether to pause before the next one.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let bytes = take(&mut self.bytes);
        if let Some(worth) = self.worth {
            return self.goes_on(bytes, worth);
        }
        if bytes == 0 {
            return false;
        }
        self.recent.rotate_left(1);
        let oldest = self.recent[LOOKS - 1].replace((now, bytes));
        self.wait = self.wait.saturating_sub(1);
        let Some((since, _)) = oldest.filter(|_| self.wait == 0) else {
            return false;
        };
        let sum = self.recent.iter().flatten().map(|(_, bytes)| bytes).sum();
        let is_due = now.duration_since(since) <= QUICK && sum <= SMALL;
        self.worth = is_due.then_some(sum);
        is_due
    }

    /// Whether a pause, which brought this, is to be followed by another one.
    fn goes_on(&mut self, bytes: usize, worth: usize) -> bool {
        if bytes >= worth && bytes <= LARGE {
            self.patience = FIRST;
            return true;
        }
        if bytes < worth {
            self.patience = LONGEST.min(self.patience * 2);
        }
        self.asked();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 200;

    /// How many of these looks, that are so far apart and find so much, are followed by a pause.
    fn pauses(pacing: &mut Pacing, looks: usize, apart: Duration, bytes: usize) -> usize {
        let mut now = Instant::now();
        let mut due = || {
            now += apart;
            pacing.read(bytes);
            pacing.is_due(now)
        };
        (0..looks).filter(|_| due()).count()
    }

    #[test]
    fn a_stream_of_ordinary_speed_is_looked_at_piece_by_piece() {
        for a_second in [50, 200, 1000, 3000] {
            let apart = Duration::from_secs(1) / a_second;
            assert_eq!(pauses(&mut Pacing::default(), 1000, apart, PIECE), 0);
        }
    }

    #[test]
    fn the_first_pieces_are_looked_at_however_quickly_they_come() {
        let quick = Duration::from_micros(10);
        let first = FIRST as usize - 1;
        let mut pacing = Pacing::default();
        assert_eq!(pauses(&mut pacing, first, quick, PIECE), 0);
        pacing.asked();
        assert_eq!(pauses(&mut pacing, first, quick, PIECE), 0);
    }

    #[test]
    fn many_small_pieces_in_a_row_are_waited_for_and_come_in_batches() {
        let quick = Duration::from_micros(10);
        let mut pacing = Pacing::default();
        assert_eq!(pauses(&mut pacing, FIRST as usize, quick, PIECE), 1);
        assert_eq!(pauses(&mut pacing, 100, PAUSE, 100 * PIECE), 100);
    }

    #[test]
    fn large_pieces_are_never_waited_for() {
        let quick = Duration::from_micros(10);
        assert_eq!(pauses(&mut Pacing::default(), 1000, quick, SMALL), 0);
    }

    #[test]
    fn pauses_that_bring_nothing_become_rare() {
        let quick = Duration::from_micros(10);
        let found = pauses(&mut Pacing::default(), 100_000, quick, PIECE);
        assert!((5..100).contains(&found), "{found}");
    }

    #[test]
    fn a_flood_is_not_held_up() {
        let quick = Duration::from_micros(10);
        let mut pacing = Pacing::default();
        pauses(&mut pacing, FIRST as usize, quick, PIECE);
        assert_eq!(pauses(&mut pacing, 1, PAUSE, LARGE + 1), 0);
    }
}
