//! What is not pretended. Whoever calls one of these gets 801, whatever it was given.

use crate::status::StandInStatus;

/// Functions that refuse.
macro_rules! refused {
    ($($name:ident)*) => {
        entries! {$(
            #[doc = concat!("`", stringify!($name), "` is not pretended.")]
            Start $name() |_, _| { Err(StandInStatus::NOT_SUPPORTED.into()) }
        )*}
    };
}

refused! {
    cuCtxCreate_v4
    cuDeviceGetDefaultMemPool
    cuDeviceGetMemPool
    cuDeviceSetMemPool
    cuGraphDestroy
    cuGraphExecDestroy
    cuGraphInstantiateWithFlags
    cuGraphLaunch
    cuGraphUpload
    cuLaunchCooperativeKernel
    cuLaunchHostFunc
    cuLaunchKernelEx
    cuMemAdvise_v2
    cuMemAllocFromPoolAsync
    cuMemAllocManaged
    cuMemHostGetDevicePointer_v2
    cuMemPoolGetAttribute
    cuMemPoolSetAttribute
    cuMemPoolTrimTo
    cuMemPrefetchAsync_v2
    cuMemcpyPeerAsync
    cuModuleGetGlobal_v2
    cuModuleLoad
    cuStreamBeginCapture_v2
    cuStreamEndCapture
}
