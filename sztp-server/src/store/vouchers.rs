//! Vouchers by the serial number that they name, whether or not there is a device of it.

use super::StoreFuture;
use crate::model::{Blob, Listed, NewVoucher, Page, VoucherResult, VoucherSummary};

/// The part of a database with vouchers.
pub trait VoucherStore {
    /// Keeps vouchers, each in the place of the one before for its serial number. The answers are
    /// in their order.
    fn keep_vouchers(&self, vouchers: Vec<NewVoucher>) -> StoreFuture<'_, Vec<KeptVoucher>>;

    /// Vouchers in the order of their serial numbers.
    fn vouchers(&self, page: Page) -> StoreFuture<'_, Listed<VoucherSummary>>;

    /// The voucher for a serial number.
    fn voucher(&self, serial_number: &str) -> StoreFuture<'_, Option<Blob>>;

    /// Forgets the voucher for a serial number; `false`: there is none.
    fn delete_voucher(&self, serial_number: &str) -> StoreFuture<'_, bool>;

    /// Serial numbers of devices, in their order. With `without_voucher` only those for which
    /// there is none.
    fn serial_numbers(&self, without_voucher: bool, page: Page) -> StoreFuture<'_, Listed<String>>;
}

/// A voucher that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVoucher {
    /// Stored, replaced or unchanged.
    pub result: VoucherResult,
    /// The device that has its serial number.
    pub device: Option<String>,
}
