//! What a server stores of a password.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const BLOCK: usize = 64;

/// Returns the verifier of `password` for SCRAM-SHA-256 (RFC 5803), with a single iteration.
///
/// Iterations slow down whoever guesses. The kit's passwords are 128 random bits, which nobody guesses, and a program
/// without optimizations spends a tenth of a second on the usual 4,096 for every connection that it opens.
pub(crate) fn verifier(password: &str, salt: [u8; 16]) -> String {
    let salted = hmac(password.as_bytes(), &[&salt[..], &1_u32.to_be_bytes()].concat());
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    let [salt, stored, server] = [&salt[..], &stored[..], &server[..]].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256$1:{salt}${stored}:{server}")
}

/// HMAC-SHA-256 (RFC 2104) for keys that are not longer than a block.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn the_code_is_that_of_the_standard() {
        let code = hmac(b"Jefe", b"what do ya want for nothing?");
        let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
