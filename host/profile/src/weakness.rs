//! RSA moduli that are known to be weak, found without factoring.

/// The odd primes up to 167, the range that tells keys of the faulty library from others.
const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// What is wrong with a modulus (big-endian octets), if something is.
///
/// A small factor means a faulty generator. ROCA (CVE-2017-15361): Infineon's library made primes of
/// the form k·M + 65537^a mod M, so that every remainder of the modulus is a power of 65537; another
/// modulus passes for one of them once in 2^27.
pub(crate) fn of_modulus(modulus: &[u8]) -> Option<&'static str> {
    let remainders = PRIMES.map(|prime| (prime, remainder(modulus, prime)));
    if remainders.iter().any(|&(_, remainder)| remainder == 0) {
        return Some("the RSA modulus has a small factor");
    }
    if remainders.iter().all(|&(prime, remainder)| is_power_of_65537(remainder, prime)) {
        return Some("the RSA key was made by a faulty library (ROCA, CVE-2017-15361)");
    }
    None
}

fn remainder(modulus: &[u8], prime: u64) -> u64 {
    // Division is dear and every key that is read comes here: seven octets at a time, above which a
    // remainder (below 2^8) still has room.
    modulus.chunks(7).fold(0, |sum, octets| {
        octets.iter().fold(sum, |sum, &octet| sum << 8 | u64::from(octet)) % prime
    })
}

fn is_power_of_65537(remainder: u64, prime: u64) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    // The order of a group of remainders is below the prime.
    for _ in 0..prime {
        if power == remainder {
            return true;
        }
        power = power * generator % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::recorded;

    /// 65537^n as big-endian octets, which has the mark of the faulty library by construction.
    fn power_of_65537(n: usize) -> Vec<u8> {
        let mut number = vec![1_u8];
        for _ in 0..n {
            // times 65537 = shifted by two octets, plus itself
            let shifted = [number.as_slice(), &[0, 0]].concat();
            let mut sum = shifted;
            let mut carry = 0_u16;
            for (index, octet) in sum.iter_mut().rev().enumerate() {
                let addend = number.iter().rev().nth(index).map_or(0, |&octet| u16::from(octet));
                let total = u16::from(*octet) + addend + carry;
                *octet = (total & 0xff) as u8;
                carry = total >> 8;
            }
            if carry > 0 {
                sum.insert(0, carry as u8);
            }
            number = sum;
        }
        number
    }

    #[test]
    fn the_mark_of_the_faulty_library_is_seen() {
        let modulus = power_of_65537(128);
        assert_eq!(remainder(&power_of_65537(2), 1_000_003), 65_537 * 65_537 % 1_000_003);
        assert!(of_modulus(&modulus).unwrap().contains("ROCA"));
    }

    #[test]
    fn limits_refuse_a_weak_key() {
        let spki = crate::forge::rsa_spki(&power_of_65537(128), &[1, 0, 1]);
        let request = crate::forge::Request { spki: Some(spki), ..Default::default() };
        let csr = crate::Csr::parse(&request.sign(&crate::forge::Key::new())).unwrap();
        let refusals =
            crate::Limits::default().admit(&csr, &crate::Boundary::default()).unwrap_err();
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].code, "weak-key");
    }

    #[test]
    fn a_small_factor_is_seen() {
        let modulus = [vec![167_u8], vec![0; 255]].concat();
        assert!(of_modulus(&modulus).unwrap().contains("small factor"));
    }

    #[test]
    fn ordinary_keys_pass() {
        for der in [recorded!("openssl-rsa-sha256.csr"), recorded!("openssl-rsa-e3.csr")] {
            let csr = crate::Csr::parse(der).unwrap();
            assert_eq!(csr.public_key().rsa_modulus().unwrap().len(), 256);
            assert_eq!(of_modulus(csr.public_key().rsa_modulus().unwrap()), None);
        }
    }
}
