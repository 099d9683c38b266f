/** Where the configuration of the whole app stands, in the project's folder. */
export const routerFileName = 'router.yaml'
