//! The bodies of the fuzz targets: take any bytes, panic when a promise is broken.

pub mod entropy;
pub mod eventstream;
pub mod form;
pub mod frame;
pub mod head;
pub mod json;
pub mod learn;
pub mod reference;
pub mod scan;
pub mod surfaces;
