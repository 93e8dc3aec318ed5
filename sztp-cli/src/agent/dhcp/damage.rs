//! Messages as nobody should send them, for tests: cut, altered, spliced, and made up.

/// Gives the message cut at each place, with each octet altered in several ways, and many that chance
/// made of it or of nothing; the same ones each time.
pub(super) fn each(message: &[u8], mut try_it: impl FnMut(&[u8])) {
    for length in 0..=message.len() {
        try_it(&message[..length]);
    }
    let mut altered = message.to_vec();
    for place in 0..message.len() {
        for octet in [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            message[place] ^ 1,
            143,
            136,
            52,
            255,
        ] {
            altered[place] = octet;
            try_it(&altered);
        }
        altered[place] = message[place];
    }
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift64* (Vigna 2016).
    let mut up_to = |most: usize| {
        chance ^= chance >> 12;
        chance ^= chance << 25;
        chance ^= chance >> 27;
        let mixed = chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap() % (most + 1)
    };
    for round in 0..20_000 {
        let mut made = if round % 4 == 0 {
            vec![0; up_to(700)]
        } else {
            message.to_vec()
        };
        for _ in 0..up_to(if round % 4 == 0 { 700 } else { 8 }) {
            if let Some(place) = made.len().checked_sub(1).map(&mut up_to) {
                made[place] = u8::try_from(up_to(255)).unwrap();
            }
        }
        if round % 3 == 0 && !made.is_empty() {
            let (from, to) = (up_to(made.len() - 1), up_to(made.len() - 1));
            let piece = made[from.min(to)..from.max(to)].to_vec();
            let at = up_to(made.len());
            made.splice(at..at, piece);
        }
        try_it(&made);
    }
}
