//! Signed heads: the chain's newest link under an Ed25519 signature, kept outside of the database.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::base::{Fault, Timestamp, fault::Result, hex};

/// Where the chain stood at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: i64,
    pub digest: String,
    pub at: Timestamp,
}

impl Head {
    fn message(&self) -> String {
        format!("opsroom audit head\n{}\n{}\n{}", self.seq, self.digest, self.at.0)
    }
}

/// A head with its signature (RFC 8032), hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    #[serde(flatten)]
    pub head: Head,
    pub public_key: String,
    pub signature: String,
}

impl SignedHead {
    /// Whether the signature holds under the key that it names.
    pub fn holds(&self) -> bool {
        let (Some(key), Some(signature)) = (hex::decode(&self.public_key), hex::decode(&self.signature)) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, key).verify(self.head.message().as_bytes(), &signature).is_ok()
    }
}

/// The key that signs heads.
pub struct HeadKey(Ed25519KeyPair);

impl HeadKey {
    /// A new key as PKCS#8, to be kept with mode 0600.
    ///
    /// # Errors
    /// `Bug` when the machine gives no randomness.
    pub fn generate() -> Result<Vec<u8>> {
        let random = ring::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| Fault::bug("no randomness for a key"))?;
        Ok(document.as_ref().to_vec())
    }

    /// # Errors
    /// `Invalid` when the bytes are no Ed25519 key.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self> {
        Ed25519KeyPair::from_pkcs8(bytes)
            .map(Self)
            .map_err(|e| Fault::invalid("not a key for audit heads").why(e.to_string()))
    }

    pub fn sign(&self, head: Head) -> SignedHead {
        let signature = hex::encode(self.0.sign(head.message().as_bytes()).as_ref());
        SignedHead { head, public_key: hex::encode(self.0.public_key().as_ref()), signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_head_does_not_hold() {
        let key = HeadKey::from_pkcs8(&HeadKey::generate().unwrap()).unwrap();
        let head = Head { seq: 3, digest: "ab".to_owned(), at: Timestamp(5) };
        let signed = key.sign(head);
        assert!(signed.holds());
        let mut forged = signed.clone();
        forged.head.seq = 2;
        assert!(!forged.holds());
    }
}
