//! How many connections one address may have at a time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for each address that has connections.
#[derive(Debug)]
pub(super) struct Addresses {
    /// 0: any number.
    limit: usize,
    places: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A place, for as long as it lives.
#[derive(Debug)]
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Addresses {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            places: Mutex::default(),
        })
    }

    /// A place, if there is one.
    pub(super) fn try_enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let Some(places) = self.places_of(address) else {
            return Some(self.place(None, address));
        };
        let permit = places.try_acquire_owned().ok()?;
        Some(self.place(Some(permit), address))
    }

    /// A place, once there is one.
    pub(super) async fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let permit = match self.places_of(address) {
            Some(places) => places.acquire_owned().await.ok(),
            None => None,
        };
        self.place(permit, address)
    }

    fn places_of(&self, address: IpAddr) -> Option<Arc<Semaphore>> {
        if self.limit == 0 {
            return None;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.entry(network(address));
        Some(
            places
                .or_insert_with(|| Arc::new(Semaphore::new(self.limit)))
                .clone(),
        )
    }

    fn place(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>, address: IpAddr) -> Place {
        Place {
            permit,
            address: network(address),
            addresses: self.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut places = self
            .addresses
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whoever has a place or waits for one holds the semaphore too.
        let is_unused = |places: &Arc<Semaphore>| Arc::strong_count(places) == 1;
        if places.get(&self.address).is_some_and(is_unused) {
            places.remove(&self.address);
        }
    }
}

/// Whoever has one IPv6 address has the /64 around it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_given_back_and_addresses_forgotten() {
        let addresses = Addresses::new(2);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = addresses.try_enter(at("192.0.2.1")).unwrap();
        let second = addresses.try_enter(at("::ffff:192.0.2.1")).unwrap();
        assert!(addresses.try_enter(at("192.0.2.1")).is_none());
        let other = addresses.try_enter(at("192.0.2.2")).unwrap();
        let waiting = addresses.clone();
        let waiting = tokio::spawn(async move { waiting.enter(at("192.0.2.1")).await });
        tokio::task::yield_now().await;
        drop(first);
        let third = waiting.await.unwrap();
        assert!(addresses.try_enter(at("192.0.2.1")).is_none());
        drop((second, third, other));
        assert!(addresses.places.lock().unwrap().is_empty());
    }

    #[test]
    fn no_limit() {
        let addresses = Addresses::new(0);
        let at = "2001:db8::1".parse().unwrap();
        let places: Vec<_> = (0..5000).map(|_| addresses.try_enter(at)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(addresses.places.lock().unwrap().is_empty());
    }
}
