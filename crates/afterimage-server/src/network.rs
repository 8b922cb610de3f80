//! Networks of addresses: as operators write them, and as they count for one household.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

/// The address of this machine that what is sent to `target` comes from.
///
/// # Errors
/// When there is no way there.
pub fn sender_towards(target: SocketAddr) -> io::Result<IpAddr> {
    // Connecting a UDP socket sends nothing; it makes the operating system choose the sender's address.
    let any: SocketAddr = if target.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// A network such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The network's first address; never an IPv4 address in IPv6 form.
    first: IpAddr,
    /// Leading bits that all its addresses have in common.
    prefix: u8,
}

/// Why a text is no [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network; expected an address with the number of its fixed bits, such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NoCidr;

impl Cidr {
    /// Whether `address`, IPv4 in either form, is in the network.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix) == self.first
    }
}

impl FromStr for Cidr {
    type Err = NoCidr;

    /// Bits behind the prefix may be set; they do not matter.
    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NoCidr)?;
        let bits = bits_of(written);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| NoCidr)?,
            Some(_) => return Err(NoCidr),
            None => bits,
        };
        if prefix > bits {
            return Err(NoCidr);
        }
        let address = written.to_canonical();
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`. A shorter prefix of that kind would hold no address that is ever seen.
        let mapped = bits - bits_of(address);
        let prefix = prefix.checked_sub(mapped).ok_or(NoCidr)?;
        Ok(Self { first: masked(address, prefix), prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What counts as one address: for IPv6 the network of 64 bits, of which every household has one.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => masked(IpAddr::V6(address), 64),
        address @ IpAddr::V4(_) => address,
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all bits behind `prefix` cleared. The prefix is one that such an address can have.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_they_should() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
            ("::/0", "2600::1", "10.0.0.1"),
        ] {
            assert!(cidr(network).contains(address(inside)), "{network} {inside}");
            assert!(!cidr(network).contains(address(outside)), "{network} {outside}");
        }
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn other_texts_are_no_networks() {
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "host/8",
            "10.0.0.0/+8",
            "1.1.1.1/8/8",
            "::ffff:127.0.0.0/90",
        ] {
            assert_eq!(bad.parse::<Cidr>(), Err(NoCidr), "{bad}");
        }
    }

    #[test]
    fn a_household_counts_as_one() {
        for (one, other, is_same) in [
            ("2600::1", "2600::ffff:2", true),
            ("2600::1", "2600:0:0:1::1", false),
            ("::ffff:1.1.1.1", "1.1.1.1", true),
            ("1.1.1.1", "1.1.1.2", false),
        ] {
            assert_eq!(counted_address(address(one)) == counted_address(address(other)), is_same, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f.:/]{0,50}|.{0,20}") {
            let _ = text.parse::<Cidr>();
        }

        /// Bit by bit, against the definition.
        #[test]
        fn a_network_is_its_leading_bits(first: u128, other: u128, prefix in 0_u8..=128) {
            // Near addresses, or hardly any would be inside.
            for address in [first, first ^ (1 << (other % 128)), other] {
                let address = Ipv6Addr::from_bits(address);
                prop_assume!(address.to_ipv4_mapped().is_none() && Ipv6Addr::from_bits(first).to_ipv4_mapped().is_none());
                let network = cidr(&format!("{}/{prefix}", Ipv6Addr::from_bits(first)));
                let is_inside = (0..prefix).all(|bit| {
                    let of = |address: u128| address >> (127 - bit) & 1;
                    of(first) == of(address.to_bits())
                });
                prop_assert_eq!(network.contains(address.into()), is_inside);
            }
        }

        #[test]
        fn what_is_written_is_read_again(bits: u32, prefix in 0_u8..=32) {
            let network = cidr(&format!("{}/{prefix}", std::net::Ipv4Addr::from_bits(bits)));
            prop_assert_eq!(cidr(&network.to_string()), network);
            prop_assert!(network.contains(std::net::Ipv4Addr::from_bits(bits).into()));
        }
    }
}
