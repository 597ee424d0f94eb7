//! Small changes at random, the same ones in every run.

/// xorshift64*.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed but 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() % limit.max(1)
    }

    /// One to three changes: a bit, a byte, a span cut out, doubled or overwritten.
    #[must_use]
    pub fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(24)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                // Lengths and tags that matter.
                2 => {
                    bytes[at] =
                        [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30, 0x24, 0xa0][self.below(10)]
                }
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let span = bytes[at..end].to_vec();
                    bytes.splice(at..at, span);
                }
                _ => bytes[at..end].fill(0),
            }
        }
        bytes
    }
}
